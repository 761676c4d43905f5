"""Equal calls at once in several processes: one leads, the others listen, and none waits longer than the lease."""

import asyncio
from typing import Any

import pytest

from gateway.core.problems import CONCERN_REFUSED, QUOTA_EXHAUSTED, UPSTREAM_FAILED, Problem, ProblemType
from gateway.core.types import Answer
from gateway.flow.distributed_flight import UNSUBSCRIBED_POLL_S
from gateway.flow.flight_result import LANDING_S, FlightResult
from gateway.flow.runtime import BackgroundTasks
from gateway.ports import LeaseClaim
from tests.flow.flights import AT, LEASE_S, PATIENCE_S, Process, sealed, source
from tests.flow.harness import Parts, turns


def waits(parts: Parts, result: str) -> list[float]:
    return parts.meter.seconds.get(("esmgw_lease_wait_seconds", result), [])


def nobody_listens(parts: Parts) -> bool:
    return parts.cache.listeners == {}


@pytest.mark.parametrize("names_owner", [True, False])
def test_another_process_s_flight_is_listened_to_and_its_answer_taken(names_owner: bool) -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks, names_owner=names_owner)
        there = Process(parts, tasks, b"2", names_owner=names_owner)
        here.takes_s = 3 * LEASE_S  # the lease is kept for as long as the flight is under way
        began = parts.clock.monotonic()
        outcomes = await asyncio.gather(here.ask("here"), there.ask("there"), there.ask("too"))
        assert (here.led, there.led) == (["here"], [])
        assert source(outcomes) == ["computed", "distributed", "process"]
        assert {outcome[0].body for outcome in outcomes} == {b"1"}
        assert parts.clock.monotonic() - began == pytest.approx(here.takes_s)
        assert here.is_empty()
        assert there.is_empty()

    parts.play(act)
    assert parts.meter.counts[("esmgw_collapsed_total", "distributed")] == 1
    assert waits(parts, "followed") == [pytest.approx(3 * LEASE_S)]
    assert nobody_listens(parts)
    assert parts.cache.leases == {}


def test_who_listens_asks_the_store_once_a_lease_and_gets_the_answer_without_a_look() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here, there = Process(parts, tasks), Process(parts, tasks)
        here.takes_s = LEASE_S * 0.9
        outcomes = await asyncio.gather(here.ask("here"), there.ask("there"))
        assert source(outcomes) == ["computed", "distributed"]

    parts.play(act)
    # The leader claims once; the follower before and after he listens; two renewals; the answer is told and not read.
    assert parts.effects().count("cache.claim") == 3
    assert parts.effects().count("cache.subscribe") == 1
    assert "cache.get" not in parts.effects()


def test_a_lonely_miss_costs_a_claim_and_a_put_and_nothing_else() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        assert (await Process(parts, tasks).ask("alone"))[1] == "computed"

    parts.play(act)
    assert [name for name in parts.effects() if name.startswith("cache.")] == ["cache.claim", "cache.put"]
    assert (parts.cache.leases, parts.meter.seconds) == ({}, {})


def test_an_answer_that_lands_just_before_the_listening_begins_is_not_missed() -> None:
    parts = Parts()
    subscribe = parts.cache.subscribe

    async def act(tasks: BackgroundTasks) -> None:
        there = Process(parts, tasks)
        await parts.cache.claim(AT, "leader", LEASE_S)

        async def late(cache_key: str) -> Any:
            await parts.cache.put(AT, sealed(b"landed"), 1e6, False, "leader")
            return await subscribe(cache_key)

        parts.cache.subscribe = late  # type: ignore[method-assign]
        began = parts.clock.monotonic()
        answer, how, _ = await there.ask("there")
        assert (answer.body, how, parts.clock.monotonic() - began) == (b"landed", "distributed", 0.0)

    parts.play(act)


@pytest.mark.parametrize("kind", [QUOTA_EXHAUSTED, CONCERN_REFUSED])
def test_a_refusal_of_a_leader_elsewhere_is_his_alone_and_the_next_leads_at_once(kind: ProblemType) -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here, there, third = (Process(parts, tasks) for _ in range(3))
        here.his, there.his = {"here": Problem(kind)}, {"there": Problem(kind)}
        began = parts.clock.monotonic()
        asked = here.ask("here"), there.ask("there"), third.ask("third")
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(source(outcomes)) == sorted([kind.slug, kind.slug, "computed"])
        assert parts.clock.monotonic() - began == pytest.approx(3 * here.takes_s)

    parts.play(act)
    assert len(waits(parts, "led")) == 2
    assert nobody_listens(parts)


def test_a_flight_that_fails_lets_another_process_go_at_once() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here, there = Process(parts, tasks), Process(parts, tasks)
        here.outcomes = {"here": FlightResult(failure=Problem(UPSTREAM_FAILED))}
        began = parts.clock.monotonic()
        outcomes = await asyncio.gather(here.ask("here"), there.ask("there"), return_exceptions=True)
        assert source(outcomes) == ["upstream-failed", "computed"]
        assert parts.clock.monotonic() - began == pytest.approx(2.0)

    parts.play(act)


def test_a_caller_elsewhere_who_goes_away_takes_nobody_down() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here, there = Process(parts, tasks), Process(parts, tasks)
        leader = here.ask("leader")
        await turns()
        gone, stays = there.ask("gone"), there.ask("stays")
        await turns()
        leader.cancel()
        gone.cancel()
        assert (await stays)[1] == "process"
        assert (here.led, there.led) == (["leader"], [])

    parts.play(act)
    assert nobody_listens(parts)


def test_an_answer_that_does_not_fit_is_computed_over_and_the_next_gets_the_new_one() -> None:
    parts = Parts()
    parts.cache.entries[AT] = (sealed(b"stale"), 4e9)

    def young(answer: Answer) -> bool:
        return answer.body != b"stale"

    async def act(tasks: BackgroundTasks) -> None:
        here, there = Process(parts, tasks), Process(parts, tasks)
        outcomes = await asyncio.gather(here.ask("here", fits=young), there.ask("there", fits=young))
        assert source(outcomes) == ["computed", "distributed"]
        assert [outcome[0].body for outcome in outcomes] == [b"1", b"1"]

    parts.play(act)


def test_the_lease_of_a_process_that_died_is_taken_over_when_it_expires() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        await parts.cache.claim(AT, "the dead", LEASE_S)
        began = parts.clock.monotonic()
        assert (await here.ask("here"))[1] == "computed"
        assert parts.clock.monotonic() - began - here.takes_s == pytest.approx(LEASE_S, abs=0.01)

    parts.play(act)
    assert waits(parts, "led") == [pytest.approx(LEASE_S, abs=0.01)]


def test_a_leader_that_stood_still_is_succeeded_once_and_takes_the_successor_s_answer() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        still, there, third = Process(parts, tasks, b"late"), Process(parts, tasks), Process(parts, tasks)
        still.takes_s = LEASE_S + 3

        async def stopped(*_: object) -> bool:
            return False

        leader = still.ask("leader")
        await turns()
        renew, parts.cache.renew = parts.cache.renew, stopped  # type: ignore[method-assign, assignment]
        others = there.ask("there"), third.ask("third")
        await parts.clock.sleep(LEASE_S)
        parts.cache.renew = renew  # type: ignore[method-assign]
        outcomes = await asyncio.gather(leader, *others)
        assert len(there.led + third.led) == 1
        assert [outcome[0].body for outcome in outcomes] == [b"1"] * 3
        assert parts.clock.monotonic() <= 1_800_000_000 + still.takes_s

    parts.play(act)
    assert len(parts.details("cache.put")) == 2
    assert len(waits(parts, "followed")) == 1


def test_a_process_that_stood_still_before_it_could_begin_asks_again_and_does_not_begin() -> None:
    parts = Parts()
    claim = parts.cache.claim

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)

        async def stopped(*asked: Any) -> LeaseClaim:
            found = await claim(*asked)
            parts.cache.claim = claim  # type: ignore[method-assign]
            await parts.clock.sleep(LEASE_S)
            await parts.cache.claim(AT, "successor", LEASE_S)
            await parts.cache.put(AT, sealed(b"successor's"), 1e6, False, "successor")
            return found

        parts.cache.claim = stopped  # type: ignore[method-assign, assignment]
        answer, how, _ = await here.ask("here")
        assert (here.led, how, answer.body) == ([], "distributed", b"successor's")

    parts.play(act)


def test_who_is_cut_off_from_the_news_claims_at_once_and_listens_anew() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here, there = Process(parts, tasks), Process(parts, tasks)
        asked = here.ask("here"), there.ask("there")
        await turns()
        parts.cache.lose_listeners()
        assert source(await asyncio.gather(*asked)) == ["computed", "distributed"]
        assert parts.clock.monotonic() == pytest.approx(1_800_000_001.0)

    parts.play(act)
    assert parts.effects().count("cache.subscribe") == 2
    assert nobody_listens(parts)


def test_who_cannot_listen_claims_every_now_and_then() -> None:
    parts = Parts()
    parts.cache.lost.add("subscribe")

    async def act(tasks: BackgroundTasks) -> None:
        here, there = Process(parts, tasks), Process(parts, tasks)
        here.takes_s = 1.1
        assert source(await asyncio.gather(here.ask("here"), there.ask("there"))) == ["computed", "distributed"]
        assert parts.clock.monotonic() <= 1_800_000_000 + here.takes_s + UNSUBSCRIBED_POLL_S

    parts.play(act)
    assert parts.meter.counts[("esmgw_store_errors_total", "cache", "subscribe")] >= 1


def test_a_lease_that_never_ends_is_not_waited_for_beyond_the_caller_s_deadline_and_nothing_is_sent_then() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        await parts.cache.claim(AT, "the stuck", 1e6)
        began = parts.clock.monotonic()
        with pytest.raises(Problem) as refused:
            await here.ask("here")
        assert (refused.value.type.status, refused.value.type.slug) == (504, "upstream-timeout")
        assert parts.clock.monotonic() - began == pytest.approx(PATIENCE_S + LANDING_S)
        assert (here.led, here.is_empty()) == ([], True)

    parts.play(act)
    assert waits(parts, "gave_up") == [pytest.approx(PATIENCE_S + LANDING_S)]
    assert nobody_listens(parts)


def test_a_forged_entry_is_taken_out_of_the_way() -> None:
    parts = Parts()
    parts.cache.entries[AT] = (b"forged", 4e9)

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        answer, how, stored = await here.ask("here")
        assert (answer.body, how, stored) == (b"1", "computed", True)
        assert parts.cache.entries[AT][0] == sealed(b"1")

    parts.play(act)


@pytest.mark.parametrize("lost", ["claim", "*"])
def test_without_the_store_a_process_goes_alone_at_once(lost: str) -> None:
    parts = Parts()
    parts.cache.lost.add(lost)

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        outcomes = await asyncio.gather(here.ask("one"), here.ask("two"))
        assert (here.led, source(outcomes)) == (["one"], ["computed", "process"])
        assert parts.clock.monotonic() == pytest.approx(1_800_000_001.0)

    parts.play(act)
    assert parts.meter.counts[("esmgw_store_errors_total", "cache", "claim")] == 1


def test_a_store_lost_for_a_moment_does_not_cost_the_lease() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        here, there = Process(parts, tasks), Process(parts, tasks)
        here.takes_s = 2 * LEASE_S
        asked = here.ask("here"), there.ask("there")
        parts.cache.lost.add("renew")
        await parts.clock.sleep(LEASE_S / 2)
        parts.cache.lost.clear()
        assert source(await asyncio.gather(*asked)) == ["computed", "distributed"]

    parts.play(act)
    assert parts.meter.counts[("esmgw_store_errors_total", "cache", "lease")] == 1


@pytest.mark.parametrize("lost, errors", [("renew", 2), ("release", 1)])
def test_a_store_lost_under_way_does_not_touch_the_flight(lost: str, errors: int) -> None:
    parts = Parts()
    parts.cache.lost |= {lost, "put"}

    async def act(tasks: BackgroundTasks) -> None:
        here = Process(parts, tasks)
        here.takes_s = LEASE_S * 0.9
        answer, how, stored = await here.ask("here")
        assert (answer.body, how, stored) == (b"1", "computed", False)

    parts.play(act)
    assert parts.meter.counts[("esmgw_store_errors_total", "cache", "lease")] == errors


def test_out_of_the_fleet_s_sight_the_store_is_not_asked() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        await Process(parts, tasks).ask("alone", distributed=False)

    parts.play(act)
    assert "cache.claim" not in parts.effects()
