"""Equal calls at once are one: who leads, who follows, and what happens to them when something breaks."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from gateway.adapters.tasks import AsyncTasks
from gateway.core.caching import NO_WISH, Plan
from gateway.core.nouns import Answer
from gateway.core.problems import QUOTA_EXHAUSTED, UPSTREAM_FAILED, Problem
from gateway.flow.coalesce import Coalescer, Landed
from gateway.flow.memory import Memory
from gateway.flow.recall import Recall
from tests.flow.house import Parts, an_answer, turns

AT = "address"
KEY = b"k" * 32
PLAN = Plan(AT, "exact", NO_WISH, 100.0, keep_first=False)
LEASE_S, PATIENCE_S = 6.0, 30.0


class Process:
    """One worker's flights on a cache that may be shared, and a computation that ends when told to."""

    def __init__(self, parts: Parts, tasks: AsyncTasks, body: bytes = b'{"by":1}') -> None:
        memory = Memory(parts.meter, 0, 0)
        self.parts, self.body = parts, body
        self.recall = Recall(parts.cache, memory, parts.clock, parts.meter, KEY, 2**20)
        self.flights = Coalescer(parts.cache, parts.clock, tasks, parts.meter, self.recall.checked, LEASE_S, PATIENCE_S)
        self.led: list[str] = []
        self.takes_s = 1.0
        self.outcomes: dict[str, Problem] = {}

    async def lead(self, who: str) -> Landed:
        self.led.append(who)
        await self.parts.clock.sleep(self.takes_s)
        outcome = self.outcomes.get(who)
        if outcome is not None and outcome.kind is QUOTA_EXHAUSTED:
            raise outcome
        if outcome is not None:
            return Landed(failure=outcome)
        answer, stored = await self.recall.keep(PLAN, an_answer(self.body, self.parts.clock.now()))
        return Landed(answer, stored=stored)

    def ask(self, who: str, fleet: bool = True) -> "asyncio.Future[tuple[Answer, str, bool]]":
        return asyncio.ensure_future(self.flights.once(AT, lambda: self.lead(who), fleet=fleet))

    def is_empty(self) -> bool:
        return not self.flights._flights


def came(outcomes: Iterable[Any]) -> list[str]:
    return [outcome.kind.slug if isinstance(outcome, Problem) else outcome[1] for outcome in outcomes]


def test_the_first_computes_and_the_others_get_the_same_answer() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        outcomes = await asyncio.gather(*(here.ask(str(i)) for i in range(5)))
        assert here.led == ["0"]
        assert came(outcomes) == ["led"] + ["process"] * 4
        assert {outcome[0].body for outcome in outcomes} == {b'{"by":1}'}
        assert all(stored for *_, stored in outcomes)
        assert here.is_empty()

    parts.play(act)
    assert parts.meter.counts[("esmgw_coalesced_total", "process")] == 4


def test_a_leader_s_refusal_is_the_leader_s_alone_and_the_next_leads() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        here.outcomes = {"0": Problem(QUOTA_EXHAUSTED), "1": Problem(QUOTA_EXHAUSTED)}
        outcomes = await asyncio.gather(*(here.ask(str(i)) for i in range(4)), return_exceptions=True)
        assert here.led == ["0", "1", "2"]
        assert came(outcomes) == ["quota-exhausted", "quota-exhausted", "led", "process"]
        assert here.is_empty()

    parts.play(act)


def test_the_upstream_s_failure_is_shared_and_nobody_tries_again() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        here.outcomes = {"0": Problem(UPSTREAM_FAILED)}
        outcomes = await asyncio.gather(*(here.ask(str(i)) for i in range(3)), return_exceptions=True)
        assert (here.led, came(outcomes)) == (["0"], ["upstream-failed"] * 3)
        assert here.is_empty()
        await turns()
        assert parts.cache.leases == {}
        assert came([await here.ask("later")]) == ["led"]

    parts.play(act)


def test_a_follower_s_patience_ends_with_a_504_and_the_flight_goes_on() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        here.takes_s = PATIENCE_S + 20
        leader = here.ask("leader")
        await turns()
        began = parts.clock.monotonic()
        with pytest.raises(Problem) as refused:
            await here.ask("follower")
        assert (refused.value.kind.status, refused.value.kind.slug) == (504, "upstream-timeout")
        assert round(parts.clock.monotonic() - began) == PATIENCE_S
        assert (await leader)[1] == "led"
        assert (here.led, here.is_empty()) == (["leader"], True)

    parts.play(act)


def test_patience_is_one_span_however_many_leaders_hand_over() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        here.takes_s = PATIENCE_S * 0.7
        here.outcomes = {"0": Problem(QUOTA_EXHAUSTED)}
        asked = [here.ask(str(i)) for i in range(3)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert came(outcomes) == ["quota-exhausted", "led", "upstream-timeout"]

    parts.play(act)


@pytest.mark.parametrize("fleet", [True, False])
def test_a_leader_s_caller_who_goes_away_takes_nobody_down(fleet: bool) -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        leader, follower = here.ask("leader", fleet), here.ask("follower", fleet)
        await turns()
        leader.cancel()
        assert (await follower)[1] == "process"
        assert (leader.cancelled(), here.led, here.is_empty()) == (True, ["leader"], True)

    parts.play(act)


def test_a_follower_who_goes_away_leaves_the_flight_to_the_others() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        leader, gone, stays = here.ask("leader"), here.ask("gone"), here.ask("stays")
        await turns()
        gone.cancel()
        assert came(await asyncio.gather(leader, stays)) == ["led", "process"]

    parts.play(act)


def test_another_process_s_flight_is_waited_for_and_its_answer_taken() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here, there = Process(parts, tasks), Process(parts, tasks, b'{"by":2}')
        here.takes_s = 3 * LEASE_S  # the lease is kept for as long as the flight is under way
        outcomes = await asyncio.gather(here.ask("here"), there.ask("there"), there.ask("too"))
        assert (here.led, there.led) == (["here"], [])
        assert came(outcomes) == ["led", "fleet", "process"]
        assert {outcome[0].body for outcome in outcomes} == {b'{"by":1}'}
        assert here.is_empty()
        assert there.is_empty()

    parts.play(act)
    assert parts.meter.counts[("esmgw_coalesced_total", "fleet")] == 1


def test_a_flight_that_fails_lets_another_process_go_at_once() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here, there = Process(parts, tasks), Process(parts, tasks)
        here.outcomes = {"here": Problem(UPSTREAM_FAILED)}
        began = parts.clock.monotonic()
        outcomes = await asyncio.gather(here.ask("here"), there.ask("there"), return_exceptions=True)
        assert came(outcomes) == ["upstream-failed", "led"]
        assert parts.clock.monotonic() - began < 2.2

    parts.play(act)


def test_the_lease_of_a_process_that_died_is_taken_over_when_it_expires() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        await parts.cache.claim(AT, "the dead", LEASE_S)
        began = parts.clock.monotonic()
        assert (await here.ask("here"))[1] == "led"
        assert LEASE_S <= parts.clock.monotonic() - began - here.takes_s <= LEASE_S + 0.2

    parts.play(act)


def test_a_lease_that_never_ends_is_not_waited_for_beyond_patience() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        await parts.cache.claim(AT, "the stuck", 1e6)
        began = parts.clock.monotonic()
        assert (await here.ask("here"))[1] == "led"
        assert parts.clock.monotonic() - began <= PATIENCE_S + here.takes_s + 0.2

    parts.play(act)


def test_a_forged_entry_is_taken_out_of_the_way() -> None:
    parts = Parts()
    parts.cache.entries[AT] = (b"forged", 4e9)

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        answer, how, stored = await here.ask("here")
        assert (answer.body, how, stored) == (b'{"by":1}', "led", True)
        assert await here.recall.checked(AT, parts.cache.entries[AT][0]) == answer

    parts.play(act)
    assert parts.meter.counts[("esmgw_cache_bad_entries_total",)] == 1


@pytest.mark.parametrize("lost", ["claim", "*"])
def test_without_the_store_a_process_goes_alone_at_once(lost: str) -> None:
    parts = Parts()
    parts.cache.lost.add(lost)

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        outcomes = await asyncio.gather(here.ask("one"), here.ask("two"))
        assert (here.led, came(outcomes)) == (["one"], ["led", "process"])
        assert parts.clock.monotonic() == pytest.approx(1_800_000_001.0)

    parts.play(act)
    assert parts.meter.counts[("esmgw_store_errors_total", "cache", "claim")] == 1


@pytest.mark.parametrize("lost", ["renew", "release"])
def test_a_store_lost_under_way_does_not_touch_the_flight(lost: str) -> None:
    parts = Parts()
    parts.cache.lost |= {lost, "put"}

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)
        here.takes_s = LEASE_S
        answer, how, stored = await here.ask("here")
        assert (answer.body, how, stored) == (b'{"by":1}', "led", False)

    parts.play(act)
    assert parts.meter.counts[("esmgw_store_errors_total", "cache", "lease")] == 1


def test_out_of_the_fleet_s_sight_the_store_is_not_asked() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        await Process(parts, tasks).ask("alone", fleet=False)

    parts.play(act)
    assert "cache.claim" not in parts.effects()


def test_a_fault_in_the_computation_reaches_its_caller_and_leaves_no_flight() -> None:
    parts = Parts()

    async def act(tasks: AsyncTasks) -> None:
        here = Process(parts, tasks)

        async def faulty() -> Landed:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await here.flights.once(AT, faulty, fleet=True)
        await turns()
        assert (here.is_empty(), parts.cache.leases) == (True, {})

    parts.play(act)
