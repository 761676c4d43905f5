"""Equal calls at once in one process: who leads, who follows, and what happens to them when something breaks."""

import asyncio

import pytest

from gateway.core.problems import QUOTA_EXHAUSTED, UPSTREAM_FAILED, Problem
from gateway.core.types import Answer
from gateway.flow.flight_result import LANDING_S, FlightResult
from gateway.flow.runtime import BackgroundTasks
from tests.flow.flights import AT, PATIENCE_S, Process, source
from tests.flow.harness import Parts, an_answer, turns


def test_the_first_computes_and_the_others_get_the_same_answer() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        outcomes = await asyncio.gather(*(here.ask(str(i)) for i in range(5)))
        assert here.led == ["0"]
        assert source(outcomes) == ["computed"] + ["process"] * 4
        assert {outcome[0].body for outcome in outcomes} == {b"1"}
        assert all(stored for *_, stored in outcomes)
        assert here.is_empty()

    parts.play(act)
    assert parts.meter.counts[("esmgw_collapsed_total", "process")] == 4


def test_a_leader_s_refusal_is_the_leader_s_alone_and_the_next_leads() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        here.his = {"0": Problem(QUOTA_EXHAUSTED), "1": Problem(QUOTA_EXHAUSTED)}
        outcomes = await asyncio.gather(*(here.ask(str(i)) for i in range(4)), return_exceptions=True)
        assert here.led == ["0", "1", "2"]
        assert source(outcomes) == ["quota-exhausted", "quota-exhausted", "computed", "process"]
        assert here.is_empty()

    parts.play(act)


def test_the_upstream_s_failure_is_shared_and_nobody_tries_again() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        here.outcomes = {"0": FlightResult(failure=Problem(UPSTREAM_FAILED))}
        outcomes = await asyncio.gather(*(here.ask(str(i)) for i in range(3)), return_exceptions=True)
        assert (here.led, source(outcomes)) == (["0"], ["upstream-failed"] * 3)
        assert here.is_empty()
        await turns()
        assert parts.cache.leases == {}
        assert source([await here.ask("later")]) == ["computed"]

    parts.play(act)


def test_a_follower_s_patience_ends_with_a_504_and_the_flight_goes_on() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        here.takes_s = PATIENCE_S + 20
        leader = here.ask("leader")
        await turns()
        began = parts.clock.monotonic()
        with pytest.raises(Problem) as refused:
            await here.ask("follower")
        assert (refused.value.type.status, refused.value.type.slug) == (504, "upstream-timeout")
        assert round(parts.clock.monotonic() - began) == PATIENCE_S + LANDING_S
        assert (await leader)[1] == "computed"
        assert (here.led, here.is_empty()) == (["leader"], True)

    parts.play(act)


def test_patience_is_one_span_however_many_leaders_hand_over() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        here.takes_s = PATIENCE_S * 0.7
        here.his = {"0": Problem(QUOTA_EXHAUSTED)}
        asked = [here.ask(str(i)) for i in range(3)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert source(outcomes) == ["quota-exhausted", "computed", "upstream-timeout"]

    parts.play(act)


@pytest.mark.parametrize("distributed", [True, False])
def test_a_leader_s_caller_who_goes_away_takes_nobody_down(distributed: bool) -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        leader, follower = here.ask("leader", distributed), here.ask("follower", distributed)
        await turns()
        leader.cancel()
        assert (await follower)[1] == "process"
        assert (leader.cancelled(), here.led, here.is_empty()) == (True, ["leader"], True)

    parts.play(act)


def test_a_follower_who_goes_away_leaves_the_flight_to_the_others() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        leader, gone, stays = here.ask("leader"), here.ask("gone"), here.ask("stays")
        await turns()
        gone.cancel()
        assert source(await asyncio.gather(leader, stays)) == ["computed", "process"]

    parts.play(act)


def test_a_fault_in_the_computation_reaches_its_caller_and_leaves_no_flight() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)

        async def faulty() -> FlightResult:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await here.flights.run(AT, faulty, deadline=parts.clock.monotonic() + PATIENCE_S, distributed=True)
        await turns()
        assert (here.is_empty(), parts.cache.leases) == (True, {})

    parts.play(act)


def test_an_answer_for_one_spelling_alone_is_handed_to_that_one_and_the_others_compute_their_own() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        here.outcomes = {"mine": FlightResult(an_answer(b"mine"))}
        mine, others = (lambda answer: answer.body == b"mine"), (lambda answer: answer.body != b"mine")
        asked = [here.ask(who, fits=fits) for who, fits in (("mine", mine), ("other", others))]
        asked += [here.ask("same", fits=mine), here.ask("third", fits=others)]
        outcomes = await asyncio.gather(*asked)
        assert here.led == ["mine", "other"]
        assert [outcome[0].body for outcome in outcomes] == [b"mine", b"1", b"mine", b"1"]
        assert here.is_empty()

    parts.play(act)


def test_an_answer_that_does_not_fit_a_follower_is_not_shared_with_him() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        here.outcomes = {"leader": FlightResult(an_answer(b"old"))}

        def young(answer: Answer) -> bool:
            return answer.body != b"old"

        outcomes = await asyncio.gather(here.ask("leader"), here.ask("choosy", fits=young), here.ask("easy"))
        assert [outcome[0].body for outcome in outcomes] == [b"old", b"1", b"old"]
        assert here.led == ["leader", "choosy"]

    parts.play(act)
