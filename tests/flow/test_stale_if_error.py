"""An answer whose time is over stands in while the upstream is down, marked, and for no other reason."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.purge_state import Purge
from gateway.core.types import Limits
from gateway.ports import UpstreamLoss, UpstreamReply
from tests.flow.harness import Harness, serial, slug, status_of

MODEL = "esm3-open-2024-03"
GRACED = {"cache": {"ttl_s": 1000.0, "stale_if_error_s": 500.0}}
FAILED = UpstreamReply(500, "application/json", None, b"{}")


def run(play: Callable[[Harness], Awaitable[None]], settings: Any = GRACED, **harness: Any) -> None:
    async def whole() -> None:
        await play(await Harness(settings, **harness).opened())

    asyncio.run(whole())


def down(harness: Harness, outcome: UpstreamReply | UpstreamLoss = FAILED) -> None:
    harness.memory.upstream.answer = lambda _: outcome


@pytest.mark.parametrize(
    "outcome",
    [
        FAILED,
        UpstreamReply(502, "text/html", None, b"<html>"),
        UpstreamReply(503, "application/json", 5.0, b"{}"),
        UpstreamReply(429, "application/json", 5.0, b"{}"),
        UpstreamReply(401, "application/json", None, b"{}"),
        UpstreamReply(200, "text/html", None, b"<html>"),
        UpstreamReply(200, "application/json", None, b'{"outputs": {'),
        UpstreamLoss("connection lost", sent=True, timed_out=False),
        UpstreamLoss("connect", sent=False, timed_out=False),
        UpstreamLoss("no answer in time", sent=True, timed_out=True),
    ],
)
def test_an_expired_answer_stands_in_while_the_upstream_is_down_and_says_so(
    outcome: UpstreamReply | UpstreamLoss,
) -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        down(harness, outcome)
        await harness.later(1200)
        response = await harness.ask()
        assert (response.status, serial(response)) == (200, serial(first))
        assert status_of(response) == "hit; ttl=-200"
        assert response.headers["Age"] == "1200"
        assert response.headers["X-Gateway-Receipt"] == first.headers["X-Gateway-Receipt"]
        assert harness.sent() > 1
        assert harness.memory.access.lines[-1]["outcome"] == "stale"

    run(play)


def test_it_stands_in_while_the_breaker_is_open_without_a_call() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        down(harness)
        await harness.later(1200)
        for step in range(1, 4):
            await harness.ask({"num_steps": step + 2})
        await harness.later(0.0)
        before, asked = harness.sent(), harness.memory.clock.monotonic()
        response = await harness.ask()
        assert harness.memory.clock.monotonic() == asked, (
            "a caller for whom a stale answer is at hand waits for nothing"
        )
        assert serial(response) == serial(first)
        assert harness.sent() == before
        assert slug(await harness.ask({"num_steps": 1})) == "upstream-busy"

    run(play, {**GRACED, "breaker": {"failures": 3, "open_s": 60.0}})


def test_the_upstream_is_asked_again_as_soon_as_it_is_up() -> None:
    async def play(harness: Harness) -> None:
        first, answer = await harness.ask(), harness.memory.upstream.answer
        down(harness)
        await harness.later(1200)
        await harness.ask()
        harness.memory.upstream.answer = answer
        second = await harness.ask()
        assert serial(second) != serial(first)
        assert status_of(second) == "fwd=stale; stored"
        assert serial(await harness.ask()) == serial(second)

    run(play)


@pytest.mark.parametrize(
    "age, answers", [(999, "hit; ttl=1"), (1000, "hit; ttl=-1"), (1499, "hit; ttl=-499"), (1500, "")]
)
def test_it_stands_in_for_as_long_as_the_settings_say(age: float, answers: str) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        down(harness)
        await harness.later(age)
        response = await harness.ask()
        if answers:
            assert status_of(response) == answers
        else:
            assert (response.status, slug(response)) == (502, "upstream-failed")

    run(play)


def test_by_default_nothing_stands_in() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        down(harness)
        await harness.memory.purge_store.purge(Purge(soft=True))
        await harness.later(1)
        assert slug(await harness.ask()) == "upstream-failed"
        await harness.later(1200)
        assert slug(await harness.ask()) == "upstream-failed"

    run(play, {"cache": {"ttl_s": 1000.0}})


def test_what_the_upstream_refuses_has_no_stand_in() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        down(harness, UpstreamReply(400, "application/json", None, b"{}"))
        await harness.later(1200)
        assert slug(await harness.ask()) == "upstream-refused"

    run(play)


def test_what_the_caller_may_not_have_has_no_stand_in() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        down(harness)
        await harness.later(1200)
        poor = harness.person("bob", limits=Limits(units_per_day=9))
        await harness.flow.poller.poll()
        assert slug(await harness.ask(**poor)) == "quota-exhausted"
        quick = harness.person("cyd", limits=Limits(requests_per_minute=1, burst=1))
        await harness.flow.poller.poll()
        assert status_of(await harness.ask(**quick)) == "hit; ttl=-200"
        assert slug(await harness.ask(**quick)) == "rate-exceeded"
        harness.memory.ledger.lost.add("reserve")
        assert slug(await harness.ask()) == "state-unavailable"
        stranger = harness.person("eve", models=())
        await harness.flow.poller.poll()
        assert slug(await harness.ask(**stranger)) == "model-refused"

    run(play, {**GRACED, "admission": {"max_wait_s": 0.0}})


@pytest.mark.parametrize("control, problem", [("no-cache", "upstream-failed"), ("only-if-cached", "not-in-cache")])
def test_whoever_refuses_what_is_kept_or_the_upstream_gets_no_stand_in(control: str, problem: str) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        down(harness)
        await harness.later(1200)
        assert slug(await harness.ask(cache_control=control)) == problem

    run(play)


@pytest.mark.parametrize("outcome", [FAILED, UpstreamLoss("connect", sent=False, timed_out=False)])
@pytest.mark.parametrize(
    "control, age, answers",
    [
        ("max-age=1", 1200, ""),
        ("max-age=5000", 1200, ""),
        ("max-age=1", 900, ""),
        ("min-fresh=2", 1200, ""),
        ("min-fresh=200", 900, ""),
        ("max-stale=0", 1200, ""),
        ("max-stale=199", 1200, ""),
        ("max-stale=201", 1200, "hit; ttl=-200"),
        ("max-stale", 1200, "hit; ttl=-200"),
        ("max-age=1300, max-stale", 1200, "hit; ttl=-200"),
        ("max-age=1100, max-stale", 1200, ""),
        ("pool=lab", 1200, "hit; ttl=-200"),
    ],
)
def test_bounds_of_the_request_are_not_overruled_by_an_upstream_that_is_down(
    control: str, age: float, answers: str, outcome: UpstreamReply | UpstreamLoss
) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        down(harness, outcome)
        await harness.later(age)
        response = await harness.ask(cache_control=control)
        if answers:
            assert status_of(response) == answers
        else:
            assert slug(response) in ("upstream-failed", "upstream-busy")

    run(play)


def test_all_who_wait_for_the_same_call_get_the_stand_in() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        down(harness)
        await harness.later(1200)
        answers = await asyncio.gather(*(harness.ask() for _ in range(10)))
        assert {serial(answer) for answer in answers} == {serial(first)}
        assert {status_of(answer) for answer in answers} == {"hit; ttl=-200"}

    run(play)


def test_no_flagged_answer_stands_in_for_an_unflagged_one_nor_the_reverse() -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        await harness.flow.poller.poll()
        await harness.ask({"potential_sequence_of_concern": True})
        await harness.ask({"num_steps": 1})
        down(harness)
        await harness.later(1200)
        assert slug(await harness.ask()) == "upstream-failed"
        assert slug(await harness.ask({"num_steps": 1, "potential_sequence_of_concern": True})) == "upstream-failed"

    run(play)


@pytest.mark.parametrize("what", [Purge(soft=True), Purge(MODEL, soft=True)])
def test_a_soft_purge_keeps_answers_to_stand_in_and_for_nothing_else(what: Purge) -> None:
    async def play(harness: Harness) -> None:
        first, answer = await harness.ask(), harness.memory.upstream.answer
        harness.memory.clock.advance(10)
        await harness.memory.purge_store.purge(what)
        await harness.later(20)
        down(harness)
        stale = await harness.ask()
        assert (serial(stale), status_of(stale)) == (serial(first), "hit; ttl=-20")
        harness.memory.upstream.answer = answer
        second = await harness.ask()
        assert serial(second) != serial(first)
        assert serial(await harness.ask()) == serial(second)
        assert harness.sent() == 3

    run(play)


@pytest.mark.parametrize("what", [Purge(), Purge(MODEL), Purge(older_than_s=5.0)])
def test_after_a_hard_purge_nothing_stands_in(what: Purge) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        harness.memory.clock.advance(10)
        await harness.memory.purge_store.purge(what)
        await harness.later(1)
        down(harness)
        assert slug(await harness.ask()) == "upstream-failed"
        assert slug(await harness.ask(cache_control="max-stale")) == "upstream-failed"

    run(play)
