"""Units and concurrency: charged before the work, made exact after it, and told apart when refused."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.core.problems import Problem
from gateway.core.quota import LimitConfig
from gateway.core.types import Limits, Principal
from gateway.flow.context import RequestContext
from gateway.flow.reserve import SETTLE_ATTEMPTS, HeldReservation, Reserver
from gateway.flow.runtime import BackgroundTasks
from gateway.flow.wait_queue import WaitQueue
from gateway.flow.waiting_limit import WaitingLimit
from tests.flow.harness import Parts, a_call, a_principal, turns

LIMITS = Limits(concurrent=1, units_per_day=25)
LEASE_S = 600.0


def a_reserver(parts: Parts, tasks: BackgroundTasks, max_wait_s: float = 2.0) -> Reserver:
    queue = WaitQueue(parts.runtime(tasks), max_wait_s, WaitingLimit(parts.meter, 100, 100))
    return Reserver(parts.ledger, LimitConfig(), queue, parts.runtime(tasks), LEASE_S)


def run(parts: Parts, act: Callable[[Reserver], Awaitable[None]]) -> None:
    async def whole(tasks: BackgroundTasks) -> None:
        await act(a_reserver(parts, tasks))

    parts.play(whole)


async def reserve(
    reserver: Reserver, who: Principal, context: RequestContext | None = None, units: int = 10
) -> HeldReservation:
    return await reserver.reserve(who, a_call(units), context or RequestContext("r1", lambda: 0.0))


def used(parts: Parts, who: Principal) -> dict[str, int]:
    usage = parts.ledger.rules.usage(who.user, LimitConfig().upstream_limits(who))
    return {entry.limit.kind: entry.used for entry in usage}


def units(parts: Parts, event: str) -> float:
    return parts.meter.counts[("esmgw_units_total", "generate_tensor", event)]


@pytest.mark.parametrize("may_have_worked, stands, event", [(True, 10, "settled"), (False, 0, "refunded")])
def test_a_charge_stands_from_before_the_work_and_is_made_exact_after_it(
    may_have_worked: bool, stands: int, event: str
) -> None:
    parts, who = Parts(), a_principal(LIMITS)

    async def act(reserver: Reserver) -> None:
        held = await reserve(reserver, who)
        assert used(parts, who) == {"concurrency": 1, "units": 10}
        reserver.settle(held, may_have_worked)
        await turns()
        assert used(parts, who) == {"concurrency": 0, "units": stands}

    run(parts, act)
    assert (units(parts, "reserved"), units(parts, event)) == (10, 10)


def test_without_limits_the_ledger_is_not_asked_and_the_units_are_counted_still() -> None:
    parts = Parts()

    async def act(reserver: Reserver) -> None:
        reserver.settle(await reserve(reserver, a_principal()), may_have_worked=True)

    run(parts, act)
    assert parts.effects() == []
    assert units(parts, "settled") == 10


@pytest.mark.parametrize("seconds_lost", [0.01, 1.0, 20.0])
def test_settling_goes_on_until_the_ledger_has_it(seconds_lost: float) -> None:
    parts, who = Parts(), a_principal(LIMITS)

    async def act(reserver: Reserver) -> None:
        held = await reserve(reserver, who)
        parts.ledger.lost.add("settle")
        reserver.settle(held, may_have_worked=False)
        await parts.clock.sleep(seconds_lost)
        assert used(parts, who)["units"] == 10
        parts.ledger.lost.clear()
        await parts.clock.sleep(5.1)
        assert used(parts, who) == {"concurrency": 0, "units": 0}

    run(parts, act)
    assert parts.meter.counts[("esmgw_store_errors_total", "state", "settle")] >= 1


def test_a_settlement_whose_reply_was_lost_counts_once() -> None:
    parts, who = Parts(), a_principal(Limits(units_per_day=100))

    async def act(reserver: Reserver) -> None:
        await reserve(reserver, who)
        held = await reserve(reserver, who)
        parts.ledger.reply_lost.add("settle")
        reserver.settle(held, may_have_worked=False)
        await parts.clock.sleep(1.0)
        parts.ledger.reply_lost.clear()
        await parts.clock.sleep(5.0)
        assert used(parts, who) == {"units": 10}

    run(parts, act)


def test_settling_gives_up_after_its_tries_and_the_lease_ends_by_itself() -> None:
    parts, who = Parts(), a_principal(LIMITS)

    async def act(reserver: Reserver) -> None:
        held = await reserve(reserver, who)
        parts.ledger.lost.add("settle")
        reserver.settle(held, may_have_worked=True)
        await parts.clock.sleep(300.0)
        assert parts.details("ledger.settle") == [("lost",)] * SETTLE_ATTEMPTS
        await parts.clock.sleep(LEASE_S)
        assert used(parts, who) == {"concurrency": 0, "units": 10}

    run(parts, act)


@pytest.mark.parametrize("which", ["lost", "reply_lost"])
def test_a_ledger_lost_in_the_middle_is_a_503_and_whatever_was_charged_is_taken_back(which: str) -> None:
    parts, who = Parts(), a_principal(LIMITS)

    async def act(reserver: Reserver) -> None:
        getattr(parts.ledger, which).add("reserve")
        with pytest.raises(Problem) as refused:
            await reserve(reserver, who)
        assert (refused.value.type.status, refused.value.type.slug) == (503, "state-unavailable")
        assert refused.value.headers == {"Retry-After": "2"}
        await turns()
        assert used(parts, who) == {"concurrency": 0, "units": 0}
        assert [details[1] for details in parts.details("ledger.settle")] == ["0"]

    run(parts, act)
    assert units(parts, "reserved") == 0


def test_too_many_at_once_wait_for_one_that_ends() -> None:
    parts, who = Parts(), a_principal(LIMITS)

    async def act(reserver: Reserver) -> None:
        first, context = await reserve(reserver, who), RequestContext("r2", lambda: 0.0)
        second = asyncio.ensure_future(reserve(reserver, who, context))
        await parts.clock.sleep(1.02)
        assert not second.done()
        reserver.settle(first, may_have_worked=True)
        await second
        assert 1.02 <= context.queue_s <= 1.1
        assert used(parts, who) == {"concurrency": 1, "units": 20}

    run(parts, act)


def test_too_many_at_once_for_too_long_are_a_429_that_has_charged_nothing() -> None:
    parts, who = Parts(), a_principal(LIMITS)

    async def act(reserver: Reserver) -> None:
        await reserve(reserver, who)
        began = parts.clock.monotonic()
        with pytest.raises(Problem) as refused:
            await reserve(reserver, who)
        assert (refused.value.type.status, refused.value.type.slug) == (429, "concurrency-exceeded")
        assert refused.value.detail == "1 calls at once are allowed; try again in 1 s."
        assert refused.value.headers["Retry-After"] == "1"
        assert 1.9 <= parts.clock.monotonic() - began <= 2.01
        assert used(parts, who) == {"concurrency": 1, "units": 10}

    run(parts, act)
    assert parts.meter.counts[("esmgw_quota_refusals_total", "key-concurrent")] == 1


def test_spent_units_are_a_403_at_once_that_says_what_is_left_and_until_when() -> None:
    parts, who = Parts(), a_principal(Limits(units_per_day=25))

    async def act(reserver: Reserver) -> None:
        await reserve(reserver, who)
        with pytest.raises(Problem) as refused:
            await reserve(reserver, who, units=16)
        assert (refused.value.type.status, refused.value.type.slug) == (403, "quota-exhausted")
        assert refused.value.detail == "The call costs 16 units; 15 of 25 are left until midnight UTC."
        assert refused.value.headers["RateLimit-Policy"] == '"key-units";q=25;qu="esmgw-units";w=86400'
        until_midnight = 86_400 - int(parts.clock.now()) % 86_400
        assert refused.value.headers["Retry-After"] == str(until_midnight)
        assert refused.value.headers["RateLimit"] == f'"key-units";r=15;t={until_midnight}'
        await reserve(reserver, who, units=15)

    run(parts, act)
    assert "clock.sleep" not in parts.effects()
    assert parts.meter.counts[("esmgw_quota_refusals_total", "key-units")] == 1


def test_many_at_once_are_never_more_than_the_limits_say_and_all_get_their_turn() -> None:
    parts, who = Parts(), a_principal(Limits(concurrent=3, units_per_day=120))
    most = 0

    async def act(reserver: Reserver) -> None:
        async def one() -> None:
            nonlocal most
            held = await reserve(reserver, who)
            most = max(most, used(parts, who)["concurrency"])
            await parts.clock.sleep(0.1)
            reserver.settle(held, may_have_worked=True)

        outcomes = await asyncio.gather(*(one() for _ in range(14)), return_exceptions=True)
        refused = [outcome.type.slug for outcome in outcomes if isinstance(outcome, Problem)]
        assert (most, refused) == (3, ["quota-exhausted"] * 2)
        await turns()
        assert used(parts, who) == {"concurrency": 0, "units": 120}

    run(parts, act)


def test_spent_units_never_wait_not_even_a_second_before_midnight() -> None:
    parts, who = Parts(), a_principal(Limits(units_per_day=25))
    parts.clock.advance(86_400 - parts.clock.now() % 86_400 - 1.0)

    async def act(reserver: Reserver) -> None:
        with pytest.raises(Problem, match="left until midnight"):
            await reserve(reserver, who, units=26)

    run(parts, act)
    assert "clock.sleep" not in parts.effects()
