"""An answer whose time is over stands in while the upstream is down, marked, and for no other reason."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.marks import Purge
from gateway.core.nouns import Limits
from gateway.ports import UpstreamLoss, UpstreamReply
from tests.flow.house import House, serial, slug, status_of

MODEL = "esm3-open-2024-03"
GRACED = {"cache": {"ttl_s": 1000.0, "stale_if_error_s": 500.0}}
FAILED = UpstreamReply(500, "application/json", None, b"{}")


def run(play: Callable[[House], Awaitable[None]], settings: Any = GRACED, **house: Any) -> None:
    async def whole() -> None:
        await play(await House(settings, **house).opened())

    asyncio.run(whole())


def down(house: House, outcome: UpstreamReply | UpstreamLoss = FAILED) -> None:
    house.memory.upstream.answer = lambda _: outcome


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
    async def play(house: House) -> None:
        first = await house.ask()
        down(house, outcome)
        await house.later(1200)
        response = await house.ask()
        assert (response.status, serial(response)) == (200, serial(first))
        assert status_of(response) == "hit; ttl=-200"
        assert response.headers["Age"] == "1200"
        assert response.headers["X-Gateway-Receipt"] == first.headers["X-Gateway-Receipt"]
        assert house.sent() > 1
        assert house.memory.access.lines[-1]["outcome"] == "stale"

    run(play)


def test_it_stands_in_while_the_breaker_is_open_without_a_call() -> None:
    async def play(house: House) -> None:
        first = await house.ask()
        down(house)
        await house.later(1200)
        for step in range(1, 4):
            await house.ask({"num_steps": step + 2})
        before = house.sent()
        response = await house.ask()
        assert serial(response) == serial(first)
        assert house.sent() == before
        assert slug(await house.ask({"num_steps": 1})) == "upstream-unavailable"

    run(play, {**GRACED, "breaker": {"failures": 3, "open_s": 60.0}})


def test_the_upstream_is_asked_again_as_soon_as_it_is_up() -> None:
    async def play(house: House) -> None:
        first, answer = await house.ask(), house.memory.upstream.answer
        down(house)
        await house.later(1200)
        await house.ask()
        house.memory.upstream.answer = answer
        second = await house.ask()
        assert serial(second) != serial(first)
        assert status_of(second) == "fwd=miss; stored"
        assert serial(await house.ask()) == serial(second)

    run(play)


@pytest.mark.parametrize(
    "age, answers", [(999, "hit; ttl=1"), (1000, "hit; ttl=-1"), (1499, "hit; ttl=-499"), (1500, "")]
)
def test_it_stands_in_for_as_long_as_the_settings_say(age: float, answers: str) -> None:
    async def play(house: House) -> None:
        await house.ask()
        down(house)
        await house.later(age)
        response = await house.ask()
        if answers:
            assert status_of(response) == answers
        else:
            assert (response.status, slug(response)) == (502, "upstream-failed")

    run(play)


def test_by_default_nothing_stands_in() -> None:
    async def play(house: House) -> None:
        await house.ask()
        down(house)
        await house.memory.purges.purge(Purge(soft=True))
        await house.later(1)
        assert slug(await house.ask()) == "upstream-failed"
        await house.later(1200)
        assert slug(await house.ask()) == "upstream-failed"

    run(play, {"cache": {"ttl_s": 1000.0}})


def test_what_the_upstream_refuses_has_no_stand_in() -> None:
    async def play(house: House) -> None:
        await house.ask()
        down(house, UpstreamReply(400, "application/json", None, b"{}"))
        await house.later(1200)
        assert slug(await house.ask()) == "upstream-refused"

    run(play)


def test_what_the_caller_may_not_have_has_no_stand_in() -> None:
    async def play(house: House) -> None:
        await house.ask()
        down(house)
        await house.later(1200)
        poor = house.person("bob", limits=Limits(units_per_day=9))
        await house.flow.watch.look()
        assert slug(await house.ask(**poor)) == "quota-exhausted"
        quick = house.person("cyd", limits=Limits(requests_per_minute=1, burst=1))
        await house.flow.watch.look()
        assert status_of(await house.ask(**quick)) == "hit; ttl=-200"
        assert slug(await house.ask(**quick)) == "rate-exceeded"
        house.memory.ledger.lost.add("reserve")
        assert slug(await house.ask()) == "state-unavailable"
        stranger = house.person("eve", models=())
        await house.flow.watch.look()
        assert slug(await house.ask(**stranger)) == "model-refused"

    run(play, {**GRACED, "admission": {"max_wait_s": 0.0}})


@pytest.mark.parametrize("control, problem", [("no-cache", "upstream-failed"), ("only-if-cached", "not-in-cache")])
def test_whoever_refuses_what_is_kept_or_the_upstream_gets_no_stand_in(control: str, problem: str) -> None:
    async def play(house: House) -> None:
        await house.ask()
        down(house)
        await house.later(1200)
        assert slug(await house.ask(cache_control=control)) == problem

    run(play)


def test_all_who_wait_for_the_same_call_get_the_stand_in() -> None:
    async def play(house: House) -> None:
        first = await house.ask()
        down(house)
        await house.later(1200)
        answers = await asyncio.gather(*(house.ask() for _ in range(10)))
        assert {serial(answer) for answer in answers} == {serial(first)}
        assert {status_of(answer) for answer in answers} == {"hit; ttl=-200"}

    run(play)


def test_no_flagged_answer_stands_in_for_an_unflagged_one_nor_the_reverse() -> None:
    async def play(house: House) -> None:
        house.grant()
        await house.flow.watch.look()
        await house.ask({"potential_sequence_of_concern": True})
        await house.ask({"num_steps": 1})
        down(house)
        await house.later(1200)
        assert slug(await house.ask()) == "upstream-failed"
        assert slug(await house.ask({"num_steps": 1, "potential_sequence_of_concern": True})) == "upstream-failed"

    run(play)


@pytest.mark.parametrize("what", [Purge(soft=True), Purge(MODEL, soft=True)])
def test_a_soft_purge_keeps_answers_to_stand_in_and_for_nothing_else(what: Purge) -> None:
    async def play(house: House) -> None:
        first, answer = await house.ask(), house.memory.upstream.answer
        house.memory.clock.advance(10)
        await house.memory.purges.purge(what)
        await house.later(20)
        down(house)
        stale = await house.ask()
        assert (serial(stale), status_of(stale)) == (serial(first), "hit; ttl=-20")
        house.memory.upstream.answer = answer
        second = await house.ask()
        assert serial(second) != serial(first)
        assert serial(await house.ask()) == serial(second)
        assert house.sent() == 3

    run(play)


@pytest.mark.parametrize("what", [Purge(), Purge(MODEL), Purge(older_than_s=5.0)])
def test_after_a_hard_purge_nothing_stands_in(what: Purge) -> None:
    async def play(house: House) -> None:
        await house.ask()
        house.memory.clock.advance(10)
        await house.memory.purges.purge(what)
        await house.later(1)
        down(house)
        assert slug(await house.ask()) == "upstream-failed"
        assert slug(await house.ask(cache_control="max-stale")) == "upstream-failed"

    run(play)
