"""`sample=next, run=TOKEN`: a notebook that repeats a draw is recorded and replayed unchanged, each repeat a sample."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from gateway.core.cache_directives import MAX_SAMPLE
from gateway.core.types import CacheScope, Response
from gateway.flow.context import RequestContext
from gateway.flow.sample_runs import DrawnSample
from gateway.ports import UpstreamReply, UpstreamRequest
from tests.endpoints.examples import WIRE
from tests.flow.harness import Harness, serial, slug, status_of

WARM = {"temperature": 0.7}
PLACES = ["namespace=paper", "pool=lab"]


def run_of(token: str, place: str = "namespace=paper") -> dict[str, str]:
    return {"cache_control": f"{place}, sample=next, run={token}"}


def run(play: Callable[[Harness], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        harness = await Harness(**settings).opened()
        await harness.namespace("paper")
        await play(harness)

    asyncio.run(whole())


async def drawn(harness: Harness, count: int, asked: dict[str, str], body: Any = WARM, **more: str) -> list[int]:
    return [serial(await harness.ask(body, **asked, **more)) for _ in range(count)]


@pytest.mark.parametrize("place", PLACES)
def test_the_nth_repeat_is_the_nth_sample_and_a_replay_begins_with_the_first(place: str) -> None:
    async def play(harness: Harness) -> None:
        first = await drawn(harness, 4, run_of("one", place))
        assert len(set(first)) == 4
        assert await drawn(harness, 4, run_of("two", place)) == first
        numbered = [f"{place}, sample={i}" for i in (1, 2, 3, 4)]
        assert [serial(await harness.ask(WARM, cache_control=asked)) for asked in numbered] == first
        assert harness.sent() == 4
        # The first run goes on where it stopped.
        (fifth,) = await drawn(harness, 1, run_of("one", place))
        assert fifth not in first
        assert serial(await harness.ask(WARM, cache_control=f"{place}, sample=5")) == fifth

    run(play)


def test_sixteen_at_once_are_sixteen_samples_and_their_replay_is_the_same_sixteen() -> None:
    async def play(harness: Harness) -> None:
        answers = await asyncio.gather(*(harness.ask(WARM, **run_of("one")) for _ in range(16)))
        first = {serial(answer) for answer in answers}
        assert (len(first), harness.sent()) == (16, 16)
        await harness.namespace("paper", frozen=True)
        again = await asyncio.gather(*(harness.ask(WARM, **run_of("two")) for _ in range(16)))
        assert {serial(answer) for answer in again} == first
        assert slug(await harness.ask(WARM, **run_of("two"))) == "not-recorded"

    run(play)


def test_a_notebook_that_keeps_its_token_is_replayed_once_and_then_told_what_it_needs() -> None:
    async def play(harness: Harness) -> None:
        first = await drawn(harness, 3, run_of("mine"))
        await harness.namespace("paper", frozen=True)
        assert await drawn(harness, 3, run_of("mine")) == first
        again = await harness.ask(WARM, **run_of("mine"))
        assert slug(again) == "not-recorded"
        assert "new run token" in orjson.loads(again.body)["detail"]
        plain = await harness.ask({"temperature": 0.1}, cache_control="namespace=paper")
        assert "detail" not in orjson.loads(plain.body)

    run(play)


def test_two_workers_count_together() -> None:
    async def play(harness: Harness) -> None:
        other = Harness()
        for part in ("namespace_store", "run_counters"):
            vars(getattr(other.memory, part)).update(vars(getattr(harness.memory, part)))
        await other.opened()
        workers = [harness, other] * 4
        answers = await asyncio.gather(*(worker.ask(WARM, **run_of("one")) for worker in workers))
        assert (harness.sent(), other.sent()) == (4, 4)
        held = [serial(await other.ask(WARM, cache_control=f"namespace=paper, sample={i}")) for i in range(1, 9)]
        assert sorted(held) == sorted(map(serial, answers))
        assert other.sent() == 4

    run(play)


def test_each_call_each_place_and_each_user_counts_alone() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("draft")
        bob = harness.person("bob")
        await harness.flow.poller.poll()
        first = await drawn(harness, 2, run_of("one"))
        rows = [
            ({"temperature": 0.8}, "namespace=paper"),
            (WARM, "namespace=draft"),
            (WARM, "namespace=paper, pool=lab"),
            (WARM, "pool=lab"),
            (WARM, "pool=other"),
        ]
        for body, place in rows:
            others = await drawn(harness, 2, run_of("one", place), body)
            assert len(set(others) | set(first)) == 4
            numbered = [await harness.ask(body, cache_control=f"{place}, sample={i}") for i in (1, 2)]
            assert [serial(answer) for answer in numbered] == others, "each begins with its first sample"
        assert await drawn(harness, 2, run_of("one"), **bob) == first
        second_key = harness.person("ada", label="another")
        await harness.flow.poller.poll()
        assert not set(await drawn(harness, 1, run_of("one"), **second_key)) & set(first)

    run(play)


def failing(request: UpstreamRequest) -> UpstreamReply:
    return UpstreamReply(400, "application/json", None, b"{}")


def test_a_number_that_led_to_no_answer_goes_to_the_next_try() -> None:
    async def play(harness: Harness) -> None:
        answer = harness.memory.upstream.answer
        (first,) = await drawn(harness, 1, run_of("one"))
        harness.memory.upstream.answer = failing
        for _ in range(2):
            assert (await harness.ask(WARM, **run_of("one"))).status == 422
            await harness.tasks.drain(5.0)
        harness.memory.upstream.answer = answer
        second, third = await drawn(harness, 2, run_of("one"))
        await harness.namespace("paper", frozen=True)
        assert await drawn(harness, 3, run_of("replay")) == [first, second, third]

    run(play)


def test_a_caller_who_went_away_gets_the_same_sample_at_the_next_try() -> None:
    async def play(harness: Harness) -> None:
        gate = asyncio.Event()
        answer = harness.memory.upstream.answer

        async def slow(request: UpstreamRequest) -> Any:
            await gate.wait()
            return answer(request)

        harness.memory.upstream.answer = slow
        response = asyncio.create_task(harness.ask(WARM, **run_of("one")))
        while harness.sent() == 0:
            await asyncio.sleep(0)
        number = harness.memory.journal.count(("run_counters.next", *last(harness)))
        assert number == 1
        await hang_up(harness, response)
        retried = asyncio.create_task(harness.ask(WARM, **run_of("one")))
        for _ in range(20):
            await asyncio.sleep(0)
        gate.set()
        got = serial(await retried)
        assert harness.sent() == 1, "the retry joined the computation"
        assert serial(await harness.ask(WARM, cache_control="namespace=paper, sample=1")) == got

    run(play)


def last(harness: Harness) -> tuple[str, ...]:
    return next(entry[1:] for entry in reversed(harness.memory.journal) if entry[0] == "run_counters.next")


async def hang_up(harness: Harness, response: "asyncio.Task[Any]") -> None:
    """As web/proxy.py: the request is cancelled and accounted for. The harness does the second by itself."""
    response.cancel()
    await asyncio.gather(response, return_exceptions=True)
    context = RequestContext("r1", harness.memory.clock.monotonic)
    owner, counter = last(harness)
    context.drawn = DrawnSample(owner, counter, 1)
    harness.flow.responder.account(context, Response(499, b"", {}))
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_gap_that_a_crash_left_is_skipped_by_the_replay() -> None:
    async def play(harness: Harness) -> None:
        first = await drawn(harness, 2, run_of("one"))
        owner, counter = last(harness)
        for _ in range(3):
            await harness.memory.run_counters.next(owner, counter, MAX_SAMPLE)
        first += await drawn(harness, 1, run_of("one"))
        await harness.namespace("paper", frozen=True)
        assert await drawn(harness, 3, run_of("replay")) == first
        assert slug(await harness.ask(WARM, **run_of("replay"))) == "not-recorded"

    run(play)


SURE = [("encode", "encode"), ("decode", "decode"), ("logits", "logits_plain_json")]


@pytest.mark.parametrize(("name", "case"), SURE, ids=[row[0] for row in SURE])
def test_what_draws_nothing_is_one_answer_in_every_run_and_in_none(name: str, case: str) -> None:
    exchange = json.loads((WIRE / f"341_{case}.json").read_text())["exchanges"][0]
    body, path = orjson.dumps(exchange["request"]["body"]), f"/api/v1/{name}"

    async def play(harness: Harness) -> None:
        answer = exchange["response"]["body"]
        harness.memory.upstream.answer = lambda request: UpstreamReply(
            200, "application/json", None, orjson.dumps({**answer, "serial": id(request)})
        )
        asked = [run_of("one"), run_of("one"), run_of("two"), {"cache_control": "namespace=paper"}]
        assert len({serial(await harness.ask(body, path, **each)) for each in asked}) == 1
        assert harness.sent() == 1
        assert "run_counters.next" not in await harness.settled()

    run(play)


def test_an_exact_call_is_one_answer_and_a_pinned_one_is_drawn_again() -> None:
    async def play(harness: Harness) -> None:
        assert len(set(await drawn(harness, 2, run_of("one"), {}))) == 1
        assert len(set(await drawn(harness, 2, run_of("one"), {"strategy": "random"}))) == 2

    run(play)


@pytest.mark.parametrize(
    ("control", "about"),
    [
        ("namespace=paper, sample=next", "sample=next needs a run"),
        ("namespace=paper, run=one", "run belongs to sample=next"),
        ("namespace=paper, sample=3, run=one", "run belongs to sample=next"),
        ("namespace=paper, sample=next, run=", "run must be"),
        ("namespace=paper, sample=nxt, run=one", "sample must be"),
        ("sample=next, run=one", "sample needs a pool"),
    ],
)
def test_half_a_wish_is_refused_in_words(control: str, about: str) -> None:
    async def play(harness: Harness) -> None:
        response = await harness.ask(WARM, cache_control=control)
        assert (response.status, slug(response)) == (400, "cache-control-invalid")
        assert orjson.loads(response.body)["detail"].startswith(about)

    run(play)


def test_a_key_that_may_use_samples_may_use_runs_and_another_may_not() -> None:
    async def play(harness: Harness) -> None:
        may = harness.person("bob", cache=CacheScope(directives=("namespace", "sample")))
        not_so = harness.person("cyd", cache=CacheScope(directives=("namespace",)))
        own = harness.person("dan", cache=CacheScope(namespace="paper"))
        await harness.flow.poller.poll()
        assert len(set(await drawn(harness, 2, run_of("one"), **may))) == 2
        assert slug(await harness.ask(WARM, **run_of("one"), **not_so)) == "cache-control-refused"
        asked = {"cache_control": "sample=next, run=one"}
        assert len(set(await drawn(harness, 2, asked, **own))) == 2

    run(play)


def test_without_the_state_store_nothing_is_drawn() -> None:
    async def play(harness: Harness) -> None:
        harness.memory.run_counters.lost.add("*")
        response = await harness.ask(WARM, **run_of("one"))
        assert (response.status, slug(response)) == (503, "state-unavailable")
        assert harness.sent() == 0
        assert harness.memory.meter.counts[("esmgw_store_errors_total", "state", "sample_run")] == 1

    run(play)


def test_a_number_that_cannot_be_given_back_is_a_gap_that_a_replay_skips() -> None:
    async def play(harness: Harness) -> None:
        answer = harness.memory.upstream.answer
        harness.memory.upstream.answer = failing
        harness.memory.run_counters.lost.add("give_back")
        assert (await harness.ask(WARM, **run_of("one"))).status == 422
        await harness.tasks.drain(5.0)
        assert harness.memory.meter.counts[("esmgw_store_errors_total", "state", "sample_run")] == 1
        harness.memory.upstream.answer = answer
        first = await drawn(harness, 2, run_of("one"))
        await harness.namespace("paper", frozen=True)
        assert await drawn(harness, 2, run_of("replay")) == first

    run(play)


def test_a_run_that_has_had_every_sample_is_told_so() -> None:
    async def play(harness: Harness) -> None:
        await drawn(harness, 1, run_of("one"))
        owner, counter = last(harness)
        harness.memory.run_counters.owners[owner].young[counter].highest = MAX_SAMPLE
        response = await harness.ask(WARM, **run_of("one"))
        assert (response.status, slug(response)) == (400, "cache-control-invalid")
        assert str(MAX_SAMPLE) in orjson.loads(response.body)["detail"]

    run(play)


def test_nobody_is_warned_of_samples_that_they_asked_for() -> None:
    async def play(harness: Harness) -> None:
        for token in ("one", "two"):
            for _ in range(2):
                answer = await harness.ask(WARM, **run_of(token))
                assert b"warning_messages" not in answer.body
        assert status_of(answer).startswith("hit")

    run(play)


def test_the_store_sees_neither_user_nor_run_nor_call() -> None:
    async def play(harness: Harness) -> None:
        await drawn(harness, 1, run_of("secret-figure"))
        assert not {"ada", "secret-figure", "paper"} & set(last(harness))
        assert all(len(word) == 32 and int(word, 16) for word in last(harness))

    run(play)


def test_an_explanation_counts_nothing() -> None:
    async def play(harness: Harness) -> None:
        raw = harness.raw(WARM, "/gateway/v1/explain", **run_of("one"))
        context = RequestContext("r1", harness.memory.clock.monotonic)
        who, _ = await harness.flow.explainer.admit(raw, context)
        told = await harness.flow.explainer.call(raw, who, context)
        assert told["namespace"] == "paper"
        assert "run_counters.next" not in await harness.settled()

    run(play)
