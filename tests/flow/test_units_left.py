"""RateLimit on every answer that was charged: what is left of the units, and when they come back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.types import Limits, Response
from gateway.ports import UpstreamLoss, UpstreamReply
from tests.core.test_ratelimit import items
from tests.flow.harness import Harness

LIMITS = Limits(requests_per_minute=600, concurrent=4, units_per_day=100)
COST = 10
NO_LIMIT_OF_THE_USER = {
    "limits": {"default": dict.fromkeys(("requests_per_minute", "concurrent", "units_per_day"), "unlimited")}
}


def run(play: Callable[[Harness], Awaitable[None]], **harness: Any) -> None:
    async def whole() -> None:
        await play(await Harness(**harness).opened())

    asyncio.run(whole())


def left(response: Response) -> dict[str, dict[str, Any]]:
    return items(response.headers.get("RateLimit", ""))


def midnight(harness: Harness) -> float:
    return 86_400 - harness.memory.clock.now() % 86_400


def test_each_charge_tells_what_is_left_of_the_day_and_a_hit_tells_of_requests_alone() -> None:
    async def play(harness: Harness) -> None:
        for times in (1, 2):
            told = left(await harness.ask({"num_steps": 2}, cache_control="no-cache"))
            assert told["key-units"]["r"] == 100 - COST * times
            assert 0 <= told["key-units"]["t"] - midnight(harness) <= 1
            assert set(told) == {"key-requests", "key-units"}, "no state of what nobody knows the end of"
        hit = await harness.ask()
        assert set(left(hit)) == {"key-requests"}
        assert '"key-units";q=100;qu="esmgw-units";w=86400' in hit.headers["RateLimit-Policy"]

    run(play, limits=LIMITS, settings=NO_LIMIT_OF_THE_USER)


def test_the_budgets_of_user_and_key_are_both_told() -> None:
    async def play(harness: Harness) -> None:
        told = left(await harness.ask())
        assert {name: told[name]["r"] for name in told if "units" in name} == {"user-units": 40, "key-units": 90}

    run(play, limits=LIMITS, settings={"limits": {"default": {"units_per_day": 50}}})


def test_units_are_told_where_requests_have_no_limit() -> None:
    async def play(harness: Harness) -> None:
        response = await harness.ask()
        assert {name: shown["r"] for name, shown in left(response).items()} == {"key-units": 90}
        assert response.headers["RateLimit-Policy"] == '"key-units";q=100;qu="esmgw-units";w=86400'

    run(play, limits=Limits(units_per_day=100), settings=NO_LIMIT_OF_THE_USER)


@pytest.mark.parametrize(
    "reply, charged",
    [
        (UpstreamLoss("no answer in time", sent=True, timed_out=True), True),
        (UpstreamLoss("connection lost", sent=True, timed_out=False), True),
        (UpstreamReply(200, "text/html", None, b"<html>"), True),
        (UpstreamReply(502, "application/json", None, b"{}"), False),
        (UpstreamReply(400, "application/json", None, b"{}"), False),
    ],
)
def test_a_failure_that_was_charged_tells_it_and_one_that_was_given_back_does_not(reply: Any, charged: bool) -> None:
    async def play(harness: Harness) -> None:
        harness.memory.upstream.replies.append(reply)
        response = await harness.ask()
        assert response.status != 200
        assert {name: shown["r"] for name, shown in left(response).items()} == ({"key-units": 90} if charged else {})

    run(play, limits=LIMITS, settings=NO_LIMIT_OF_THE_USER)


@pytest.mark.parametrize(
    "reply, left_of_key",
    [
        (UpstreamLoss("no answer in time", sent=True, timed_out=True), 80),
        (UpstreamReply(502, "application/json", None, b"{}"), None),
    ],
)
def test_a_stale_answer_in_place_of_a_call_that_was_charged_tells_it_too(reply: Any, left_of_key: int | None) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        harness.memory.clock.advance(20.0)
        await harness.flow.poller.poll()
        harness.memory.upstream.replies.append(reply)
        response = await harness.ask()
        assert "; hit; ttl=-10;" in response.headers["Cache-Status"]
        assert left(response).get("key-units", {}).get("r") == left_of_key
        assert "key-requests" in left(response)

    settings = {**NO_LIMIT_OF_THE_USER, "cache": {"ttl_s": 10.0, "stale_if_error_s": 100.0}}
    run(play, limits=LIMITS, settings=settings)


def test_whoever_shares_another_s_answer_was_charged_nothing_and_is_told_nothing() -> None:
    async def play(harness: Harness) -> None:
        answers = await asyncio.gather(*(harness.ask() for _ in range(5)))
        assert sorted("key-units" in left(answer) for answer in answers) == [False] * 4 + [True]

    run(play, limits=LIMITS)
