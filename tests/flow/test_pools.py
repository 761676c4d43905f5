"""Pools of samples: everybody in the lab gets the same third sample, and whoever asks for none gets a new one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.nouns import CacheScope, Limits
from tests.flow.house import House, serial, status_of

WARM = {"temperature": 0.7}
FLAGGED = {**WARM, "potential_sequence_of_concern": True}
THIRD = {"cache_control": "pool=lab, sample=3"}


def run(play: Callable[[House], Awaitable[None]], **house: Any) -> None:
    async def whole() -> None:
        await play(await House(**house).opened())

    asyncio.run(whole())


def test_everybody_gets_the_same_third_sample_and_pays_for_it_once() -> None:
    async def play(house: House) -> None:
        bob, cyd = house.person("bob"), house.person("cyd", "cells")
        await house.flow.watch.look()
        first = await house.ask(WARM, **THIRD)
        assert status_of(first) == "fwd=miss; stored"
        assert 'detail="sampled: ' in first.headers["Cache-Status"]
        others = [await house.ask(WARM, **THIRD, **who) for who in (bob, cyd, {})]
        assert {serial(other) for other in others} == {serial(first)}
        assert all(status_of(other).startswith("hit; ") for other in others)
        assert house.sent() == 1

    run(play)


def test_another_number_pool_call_or_no_pool_at_all_is_another_answer() -> None:
    async def play(house: House) -> None:
        asked: list[tuple[dict[str, Any], str]] = [
            (WARM, "pool=lab, sample=3"),
            (WARM, "pool=lab, sample=4"),
            (WARM, "pool=other, sample=3"),
            (WARM, "pool=lab"),
            ({"temperature": 0.8}, "pool=lab, sample=3"),
        ]
        answers = [serial(await house.ask(body, cache_control=control)) for body, control in asked]
        assert len(set(answers)) == len(asked)
        again = [serial(await house.ask(body, cache_control=control)) for body, control in asked]
        assert again == answers
        assert serial(await house.ask(WARM, cache_control="pool=lab, sample=1")) == answers[3]
        loose = {serial(await house.ask(WARM)) for _ in range(3)}
        assert len(loose) == 3
        assert not loose & set(answers)

    run(play)


def test_of_two_processes_that_draw_the_same_sample_the_first_stored_stands_for_both() -> None:
    async def play(house: House) -> None:
        other = House()
        other.memory.cache.entries, other.memory.upstream = house.memory.cache.entries, house.memory.upstream
        other.flow.dispatcher._upstream = house.memory.upstream
        await other.opened()
        gate = asyncio.Event()
        quick = house.memory.upstream.answer

        async def slow(request: Any) -> Any:
            if len(house.memory.upstream.requests) == 1:
                await gate.wait()
            return quick(request)

        house.memory.upstream.answer = slow
        late = asyncio.ensure_future(house.ask(WARM, **THIRD))
        while house.sent() == 0:
            await asyncio.sleep(0)
        # The lease is in a store of its own here: the second process does not know that the first is at it.
        first = await other.ask(WARM, **THIRD)
        gate.set()
        assert serial(await late) == serial(first)
        assert house.sent() == 2
        assert serial(await house.ask(WARM, **THIRD)) == serial(first)

    run(play)


def test_equal_samples_asked_for_at_once_are_drawn_once() -> None:
    async def play(house: House) -> None:
        answers = await asyncio.gather(*(house.ask(WARM, **THIRD) for _ in range(20)))
        assert len({serial(answer) for answer in answers}) == house.sent() == 1

    run(play)


def test_an_exact_call_has_one_answer_whatever_sample_is_asked_for() -> None:
    async def play(house: House) -> None:
        plain = serial(await house.ask())
        for control in ("pool=lab", "pool=lab, sample=3", "pool=other, sample=9"):
            assert serial(await house.ask(cache_control=control)) == plain

    run(play)


def test_pinned_calls_have_samples_too_apart_from_the_first_answer() -> None:
    async def play(house: House) -> None:
        pinned = {"strategy": "random"}
        first = serial(await house.ask(pinned))
        second = serial(await house.ask(pinned, cache_control="pool=lab, sample=2"))
        assert second != first
        assert serial(await house.ask(pinned, cache_control="pool=lab, sample=2")) == second
        assert serial(await house.ask(pinned)) == first

    run(play)


@pytest.mark.parametrize("order", [(WARM, FLAGGED), (FLAGGED, WARM)])
def test_no_pool_mixes_declared_sequences_of_concern_with_others(order: tuple[dict[str, Any], ...]) -> None:
    async def play(house: House) -> None:
        house.grant()
        await house.flow.watch.look()
        one, other = [serial(await house.ask(body, **THIRD)) for body in order]
        assert one != other
        assert [serial(await house.ask(body, **THIRD)) for body in order] == [one, other]
        house.memory.directory.granted.clear()
        house.memory.directory.changes += 1
        await house.flow.watch.look()
        assert (await house.ask(FLAGGED, **THIRD)).status == 403

    run(play)


def test_a_pool_is_shared_as_widely_as_the_key_shares() -> None:
    async def play(house: House) -> None:
        house.add_key(Limits(), cache=CacheScope(share="team"))
        near, far = (house.person("bob", team, cache=CacheScope(share="team")) for team in ("proteins", "cells"))
        await house.flow.watch.look()
        mine = serial(await house.ask(WARM, **THIRD))
        assert serial(await house.ask(WARM, **THIRD, **near)) == mine
        assert serial(await house.ask(WARM, **THIRD, **far)) != mine

    run(play)


def test_a_new_draw_replaces_a_sample_only_for_who_asks_for_it() -> None:
    async def play(house: House) -> None:
        first = serial(await house.ask(WARM, **THIRD))
        second = serial(await house.ask(WARM, cache_control="pool=lab, sample=3, no-cache"))
        assert second != first
        assert serial(await house.ask(WARM, **THIRD)) == second
        never = serial(await house.ask(WARM, cache_control="pool=lab, sample=3, no-store"))
        assert never not in (first, second)
        assert serial(await house.ask(WARM, **THIRD)) == second

    run(play)
