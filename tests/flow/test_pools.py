"""Pools of samples: everybody in the lab gets the same third sample, and whoever asks for none gets a new one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.types import CacheScope, Limits
from tests.flow.harness import Harness, serial, status_of

WARM = {"temperature": 0.7}
FLAGGED = {**WARM, "potential_sequence_of_concern": True}
THIRD = {"cache_control": "pool=lab, sample=3"}


def run(play: Callable[[Harness], Awaitable[None]], **harness: Any) -> None:
    async def whole() -> None:
        await play(await Harness(**harness).opened())

    asyncio.run(whole())


def test_everybody_gets_the_same_third_sample_and_pays_for_it_once() -> None:
    async def play(harness: Harness) -> None:
        bob, cyd = harness.person("bob"), harness.person("cyd", "cells")
        await harness.flow.poller.poll()
        first = await harness.ask(WARM, **THIRD)
        assert status_of(first) == "fwd=miss; stored"
        assert 'detail="sampled: ' in first.headers["Cache-Status"]
        others = [await harness.ask(WARM, **THIRD, **who) for who in (bob, cyd, {})]
        assert {serial(other) for other in others} == {serial(first)}
        assert all(status_of(other).startswith("hit; ") for other in others)
        assert harness.sent() == 1

    run(play)


def test_another_number_pool_call_or_no_pool_at_all_is_another_answer() -> None:
    async def play(harness: Harness) -> None:
        asked: list[tuple[dict[str, Any], str]] = [
            (WARM, "pool=lab, sample=3"),
            (WARM, "pool=lab, sample=4"),
            (WARM, "pool=other, sample=3"),
            (WARM, "pool=lab"),
            ({"temperature": 0.8}, "pool=lab, sample=3"),
        ]
        answers = [serial(await harness.ask(body, cache_control=control)) for body, control in asked]
        assert len(set(answers)) == len(asked)
        again = [serial(await harness.ask(body, cache_control=control)) for body, control in asked]
        assert again == answers
        assert serial(await harness.ask(WARM, cache_control="pool=lab, sample=1")) == answers[3]
        loose = {serial(await harness.ask(WARM)) for _ in range(3)}
        assert len(loose) == 3
        assert not loose & set(answers)

    run(play)


def test_of_two_processes_that_draw_the_same_sample_the_first_stored_stands_for_both() -> None:
    async def play(harness: Harness) -> None:
        other = Harness()
        other.memory.cache.entries, other.memory.upstream = harness.memory.cache.entries, harness.memory.upstream
        other.flow.pipeline._computation._dispatcher._upstream = harness.memory.upstream
        await other.opened()
        gate = asyncio.Event()
        quick = harness.memory.upstream.answer

        async def slow(request: Any) -> Any:
            if len(harness.memory.upstream.requests) == 1:
                await gate.wait()
            return quick(request)

        harness.memory.upstream.answer = slow
        late = asyncio.ensure_future(harness.ask(WARM, **THIRD))
        while harness.sent() == 0:
            await asyncio.sleep(0)
        # The lease is in a store of its own here: the second process does not know that the first is at it.
        first = await other.ask(WARM, **THIRD)
        gate.set()
        assert serial(await late) == serial(first)
        assert harness.sent() == 2
        assert serial(await harness.ask(WARM, **THIRD)) == serial(first)

    run(play)


def test_equal_samples_asked_for_at_once_are_drawn_once() -> None:
    async def play(harness: Harness) -> None:
        answers = await asyncio.gather(*(harness.ask(WARM, **THIRD) for _ in range(20)))
        assert len({serial(answer) for answer in answers}) == harness.sent() == 1

    run(play)


def test_an_exact_call_has_one_answer_whatever_sample_is_asked_for() -> None:
    async def play(harness: Harness) -> None:
        plain = serial(await harness.ask())
        for control in ("pool=lab", "pool=lab, sample=3", "pool=other, sample=9"):
            assert serial(await harness.ask(cache_control=control)) == plain

    run(play)


def test_pinned_calls_have_samples_too_apart_from_the_first_answer() -> None:
    async def play(harness: Harness) -> None:
        pinned = {"strategy": "random"}
        first = serial(await harness.ask(pinned))
        second = serial(await harness.ask(pinned, cache_control="pool=lab, sample=2"))
        assert second != first
        assert serial(await harness.ask(pinned, cache_control="pool=lab, sample=2")) == second
        assert serial(await harness.ask(pinned)) == first

    run(play)


@pytest.mark.parametrize("order", [(WARM, FLAGGED), (FLAGGED, WARM)])
def test_no_pool_mixes_declared_sequences_of_concern_with_others(order: tuple[dict[str, Any], ...]) -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        await harness.flow.poller.poll()
        one, other = [serial(await harness.ask(body, **THIRD)) for body in order]
        assert one != other
        assert [serial(await harness.ask(body, **THIRD)) for body in order] == [one, other]
        harness.memory.directory.granted.clear()
        harness.memory.directory.changes += 1
        await harness.flow.poller.poll()
        assert (await harness.ask(FLAGGED, **THIRD)).status == 403

    run(play)


def test_a_pool_is_shared_as_widely_as_the_key_shares() -> None:
    async def play(harness: Harness) -> None:
        harness.add_key(Limits(), cache=CacheScope(share="team"))
        near, far = (harness.person("bob", team, cache=CacheScope(share="team")) for team in ("proteins", "cells"))
        await harness.flow.poller.poll()
        mine = serial(await harness.ask(WARM, **THIRD))
        assert serial(await harness.ask(WARM, **THIRD, **near)) == mine
        assert serial(await harness.ask(WARM, **THIRD, **far)) != mine

    run(play)


def test_a_new_draw_replaces_a_sample_only_for_who_asks_for_it() -> None:
    async def play(harness: Harness) -> None:
        first = serial(await harness.ask(WARM, **THIRD))
        second = serial(await harness.ask(WARM, cache_control="pool=lab, sample=3, no-cache"))
        assert second != first
        assert serial(await harness.ask(WARM, **THIRD)) == second
        never = serial(await harness.ask(WARM, cache_control="pool=lab, sample=3, no-store"))
        assert never not in (first, second)
        assert serial(await harness.ask(WARM, **THIRD)) == second

    run(play)
