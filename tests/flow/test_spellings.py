"""Where rules of the sampler let two spellings share an answer, each caller gets it around what they sent."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from gateway.core.types import Response
from gateway.ports import UpstreamReply, UpstreamRequest
from tests.flow.harness import Harness, answering, serial, status_of

SAMPLER = {"cache": {"level": "sampler"}}
ABSENT: dict[str, Any] = {"inputs": {"sequence": [0, 32, 5, 32, 2]}}
ALL_MASK: dict[str, Any] = {"inputs": {**ABSENT["inputs"], "structure": [4098, 4096, 4096, 4096, 4097]}}


def run(play: Callable[[Harness], Awaitable[None]], settings: Any = SAMPLER, **harness: Any) -> None:
    async def whole() -> None:
        await play(await Harness(settings, **harness).opened())

    asyncio.run(whole())


def echo(response: Response) -> Any:
    return orjson.loads(response.body)["outputs"]["structure"]


@pytest.mark.parametrize("one, other", [(ABSENT, ALL_MASK), (ALL_MASK, ABSENT)])
def test_a_hit_through_another_spelling_echoes_that_spelling(one: Any, other: Any) -> None:
    async def play(harness: Harness) -> None:
        first, second = await harness.ask(one), await harness.ask(other)
        assert status_of(second).startswith("hit; ")
        assert serial(first) == serial(second)
        assert [echo(first), echo(second)] == [body["inputs"].get("structure") for body in (one, other)]
        assert harness.sent() == 1
        # Each spelling's bytes stay the same, from memory and from the store.
        assert (await harness.ask(one)).body == first.body
        assert (await harness.ask(other)).body == second.body
        harness.memory.clock.advance(1.0)
        harness.memory.cache.changed.extend(harness.memory.cache.entries)
        await harness.flow.poller.poll()
        assert [(await harness.ask(body)).body for body in (one, other)] == [first.body, second.body]

    run(play)


def test_two_spellings_have_two_tags_and_two_receipts_of_one_computation() -> None:
    async def play(harness: Harness) -> None:
        answers = [await harness.ask(body) for body in (ABSENT, ALL_MASK)]
        assert len({answer.headers["ETag"] for answer in answers}) == 2
        receipts = [harness.flow.renderer.receipt(answer.headers["X-Gateway-Receipt"]) or {} for answer in answers]
        assert receipts[0]["computed"] == receipts[1]["computed"]
        for member in ("call_sha256", "answer_sha256"):
            assert receipts[0][member] != receipts[1][member]

    run(play)


def test_two_spellings_at_once_are_one_upstream_call_and_each_gets_its_own_back() -> None:
    async def play(harness: Harness) -> None:
        answers = await asyncio.gather(*(harness.ask(body) for body in (ABSENT, ALL_MASK) * 5))
        assert len({serial(answer) for answer in answers}) == harness.sent() == 1
        assert [echo(answer) for answer in answers] == [None, ALL_MASK["inputs"]["structure"]] * 5

    run(play)


def odd_echo(request: UpstreamRequest) -> UpstreamReply:
    """An upstream that rounds, corrects or forgets what it was sent."""
    tree = orjson.loads(answering(request).body)
    tree["outputs"]["structure"] = [1, 2, 3, 4, 5]
    return UpstreamReply(200, "application/json", None, orjson.dumps(tree))


def test_an_answer_with_an_echo_that_nobody_expects_is_shared_with_no_other_spelling_and_not_kept() -> None:
    async def play(harness: Harness) -> None:
        gate = asyncio.Event()

        async def slow(request: UpstreamRequest) -> UpstreamReply:
            await gate.wait()
            return odd_echo(request)

        harness.memory.upstream.answer = slow
        asking = [asyncio.ensure_future(harness.ask(body)) for body in (ABSENT, ALL_MASK, ABSENT, ALL_MASK)]
        while harness.sent() == 0:
            await asyncio.sleep(0)
        gate.set()
        answers = [await each for each in asking]
        assert serial(answers[0]) != serial(answers[1])
        assert serial(answers[0]) == serial(answers[2])
        assert serial(answers[1]) == serial(answers[3])
        assert not harness.memory.cache.entries
        assert serial(await harness.ask(ABSENT)) not in {serial(answer) for answer in answers}

    run(play)


@pytest.mark.parametrize("cache", [{"max_entry_bytes": 10}, {}], ids=["too large to store", "store lost"])
def test_what_cannot_be_stored_is_shared_in_flight_with_each_caller_s_own_inputs(cache: dict[str, Any]) -> None:
    async def play(harness: Harness) -> None:
        if not cache:
            harness.lose_cache()
            await harness.flow.poller.poll()
        gate = asyncio.Event()

        async def slow(request: UpstreamRequest) -> UpstreamReply:
            await gate.wait()
            return answering(request)

        harness.memory.upstream.answer = slow
        asking = [asyncio.ensure_future(harness.ask(body)) for body in (ABSENT, ALL_MASK, ABSENT, ALL_MASK)]
        while harness.sent() == 0:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        gate.set()
        answers = [await each for each in asking]
        assert harness.sent() == 1
        assert [echo(answer) for answer in answers] == [None, ALL_MASK["inputs"]["structure"]] * 2

    run(play, settings={"cache": {"level": "sampler", **cache}})


@pytest.mark.parametrize("cache", [{}, {"level": "sampler", "rules": {"empty_conditioning": False}}])
def test_without_the_rule_two_spellings_are_two_calls(cache: dict[str, Any]) -> None:
    async def play(harness: Harness) -> None:
        assert serial(await harness.ask(ABSENT)) != serial(await harness.ask(ALL_MASK))

    run(play, {"cache": cache})


def test_a_rule_in_force_shares_nothing_with_a_gateway_under_other_rules() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask(ABSENT)
        for cache in ({}, {"rules": {"empty_conditioning": True}}):
            other = Harness({"cache": cache})
            other.memory.cache.entries = harness.memory.cache.entries
            await other.opened()
            assert status_of(await other.ask(ABSENT)).startswith("fwd=miss")
        assert (await harness.ask(ABSENT)).body == first.body

    run(play)


def test_what_matters_to_the_sampler_is_never_shared() -> None:
    async def play(harness: Harness) -> None:
        known = {"inputs": {**ABSENT["inputs"], "structure": [4098, 4096, 7, 4096, 4097]}}
        flagged = {**ALL_MASK, "potential_sequence_of_concern": True}
        harness.approval()
        await harness.flow.poller.poll()
        answers = [serial(await harness.ask(body)) for body in (ABSENT, known, flagged, {**ABSENT, "top_p": 0.5})]
        assert len(set(answers)) == 4

    run(play)


def test_a_namespace_holds_each_spelling_as_it_was_asked() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        paper = {"cache_control": "namespace=paper"}
        one, other = [serial(await harness.ask(body, **paper)) for body in (ABSENT, ALL_MASK)]
        assert one != other
        assert [serial(await harness.ask(body, **paper)) for body in (ABSENT, ALL_MASK)] == [one, other]

    run(play)
