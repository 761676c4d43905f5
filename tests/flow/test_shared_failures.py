"""The upstream's failure is told to other processes: once, to those who wait, and by nobody else."""

import asyncio
from typing import Any

import pytest

from gateway.core.problems import UPSTREAM_FAILED, Problem
from gateway.flow.flight_result import FailureMessages, FlightResult
from gateway.flow.runtime import BackgroundTasks
from tests.flow.flights import AT, KEY, LEASE_S, Process, source
from tests.flow.harness import Parts, turns


def failed(detail: str = "status 400: too long", **more: Any) -> FlightResult:
    headers = {"Retry-After": "3"}
    return FlightResult(failure=Problem(UPSTREAM_FAILED, detail, (), headers), of_upstream=True, **more)


def test_what_the_upstream_made_of_a_call_is_told_in_all_processes_and_nobody_asks_it_again() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here, there, third = (Process(parts, tasks) for _ in range(3))
        here.takes_s = 2 * LEASE_S
        here.outcomes = {"here": failed()}
        asked = [here.ask("here"), there.ask("there"), there.ask("too"), third.ask("third")]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert source(outcomes) == ["upstream-failed"] * 4
        for told in outcomes:
            assert isinstance(told, Problem)
            assert (told.detail, told.headers) == ("status 400: too long", {"Retry-After": "3"})
        assert (there.led, third.led) == ([], [])
        assert parts.clock.monotonic() == pytest.approx(1_800_000_000 + here.takes_s)
        assert source([await there.ask("later")]) == ["computed"]

    parts.play(act)
    assert parts.cache.listeners == {}
    assert parts.cache.leases == {}
    assert "cache.delete" not in parts.effects()


def test_who_has_more_time_than_the_leader_had_does_not_share_his_lack_of_it() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here, there, third = (Process(parts, tasks) for _ in range(3))
        here.outcomes = {"here": failed(given_s=10.0)}
        deadline = parts.clock.monotonic()
        outcomes = await asyncio.gather(
            here.ask("here"),
            there.ask("there", deadline=deadline + 12.0),
            third.ask("third", deadline=deadline + 10.5),
            return_exceptions=True,
        )
        assert source(outcomes) == ["upstream-failed", "computed", "upstream-failed"]

    parts.play(act)


@pytest.mark.parametrize("message", ["forged", "of another call", "old", "cut", "nothing"])
def test_a_failure_that_somebody_else_tells_is_not_believed(message: str) -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here, failures = Process(parts, tasks), FailureMessages(KEY, parts.runtime(tasks))
        blobs = {
            "forged": FailureMessages(b"x" * 32, parts.runtime(tasks)).seal(AT, failed()),
            "of another call": failures.seal("elsewhere", failed()),
            "old": failures.seal(AT, failed()),
            "cut": failures.seal(AT, failed())[:-1],
            "nothing": b"F",
        }
        await parts.clock.sleep(60.0)
        await parts.cache.claim(AT, "stuck", LEASE_S)
        asking = here.ask("here")
        await turns()
        parts.cache._tell(AT, blobs[message])
        assert source([await asking]) == ["computed"]

    parts.play(act)
    assert "cache.delete" not in parts.effects()
