"""Admission: what is let in has been charged before, over any number of workers, and what is not used comes back."""

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.problems import Problem
from gateway.core.quota import Limit, LimitConfig, Verdict
from gateway.core.types import Limits, Principal
from gateway.flow.admission import ALLOWANCE_S, MAX_IN_ADVANCE, Admission
from gateway.flow.context import RequestContext
from gateway.flow.runtime import BackgroundTasks
from gateway.flow.wait_queue import WaitQueue
from gateway.flow.waiting_limit import WaitingLimit
from gateway.ports import StoreUnavailable
from tests.fakes.stores import FakeLedger
from tests.flow.harness import Parts, a_principal

WIDE = Limits(requests_per_minute=6000, burst=3000)


def a_desk(
    parts: Parts, tasks: BackgroundTasks, max_wait_s: float = 0.0, config: LimitConfig | None = None
) -> Admission:
    queue = WaitQueue(parts.runtime(tasks), max_wait_s, WaitingLimit(parts.meter, 100, 100))
    return Admission(parts.ledger, config or LimitConfig(), queue, parts.runtime(tasks), max_wait_s)


async def admit(desk: Admission, who: Principal) -> Mapping[str, str]:
    return await desk.admit(who, RequestContext("r1", lambda: 0.0))


def left(parts: Parts, who: Principal) -> int:
    return parts.ledger.rules.usage(who.user, LimitConfig().rate_limits(who))[0].used


def in_store(parts: Parts) -> int:
    return parts.effects().count("ledger.charge_rate")


def test_without_limits_nobody_is_asked() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        assert await admit(a_desk(parts, tasks), a_principal()) == {}

    parts.play(act)
    assert parts.effects() == []


def test_a_single_request_is_charged_alone_and_one_at_leisure_too() -> None:
    parts, who = Parts(), a_principal(WIDE)

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        for _ in range(3):
            await admit(desk, who)
            assert left(parts, who) == 2999
            await parts.clock.sleep(ALLOWANCE_S)

    parts.play(act)
    assert in_store(parts) == 3


def test_a_busy_key_is_charged_in_advance_and_pays_every_request_once() -> None:
    parts, who = Parts(), a_principal(WIDE)

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        for _ in range(100):
            await admit(desk, who)
        charged = 3000 - left(parts, who)
        assert 100 <= charged <= 100 + MAX_IN_ADVANCE
        assert in_store(parts) < 10
        await desk.close()
        assert left(parts, who) == 2900
        await desk.close()
        assert left(parts, who) == 2900

    parts.play(act)


@pytest.mark.parametrize("admitted", [2, 4, 5, 40])
def test_what_is_not_used_in_time_is_given_back_and_not_used_later(admitted: int) -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=60, burst=3000))

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        for _ in range(admitted):
            await admit(desk, who)
        await desk.sweep()
        assert parts.details("ledger.return_rate") == []
        await parts.clock.sleep(ALLOWANCE_S + 0.001)
        assert desk.in_advance(who) is None
        await desk.sweep()
        assert left(parts, who) == 3000 - admitted
        assert desk._allowances == {}

    parts.play(act)


def test_giving_back_goes_on_by_itself() -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=60, burst=3000))

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        sweeping = asyncio.ensure_future(desk.forever())
        await admit(desk, who)
        await admit(desk, who)
        assert left(parts, who) == 2997
        await parts.clock.sleep(0.6)
        assert left(parts, who) == 2998
        sweeping.cancel()

    parts.play(act)


def test_an_idle_worker_does_not_wake_up_to_give_back_nothing() -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=60, burst=3000))

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        sweeping = asyncio.ensure_future(desk.forever())
        for _ in range(2):
            await admit(desk, who)
            await admit(desk, who)
            await parts.clock.sleep(3600.0)
            assert desk._allowances == {}
        sweeping.cancel()

    parts.play(act)
    assert len([entry for entry in parts.details("clock.sleep") if entry != ("3600",)]) <= 6
    assert left(parts, who) == 3000


@pytest.mark.parametrize("takes_s", [0.3, 0.9])
def test_what_a_slow_store_grants_is_not_lost_to_a_sweep(takes_s: float) -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=60, burst=3000))
    charge_rate = parts.ledger.charge_rate

    async def slow(subject: str, limits: tuple[Limit, ...], in_advance: int) -> Verdict:
        await parts.clock.sleep(takes_s)
        return await charge_rate(subject, limits, in_advance)

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        sweeping = asyncio.ensure_future(desk.forever())
        await admit(desk, who)
        parts.ledger.charge_rate = slow  # type: ignore[method-assign]
        await admit(desk, who)
        parts.ledger.charge_rate = charge_rate  # type: ignore[method-assign]
        assert desk.in_advance(who) is not None
        await parts.clock.sleep(3600.0)
        sweeping.cancel()

    parts.play(act)
    assert left(parts, who) == 3000


def test_two_keys_of_one_user_have_an_allowance_each() -> None:
    parts, one, two = Parts(), a_principal(WIDE), a_principal(WIDE, public_id="k2")

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        await admit(desk, one)
        await admit(desk, one)
        assert desk.in_advance(two) is None
        assert desk.in_advance(one) is not None

    parts.play(act)


def test_with_the_store_lost_a_request_is_counted_here_and_marked() -> None:
    parts = Parts()
    parts.ledger.lost.add("charge_rate")
    context = RequestContext("r1", lambda: 0.0)

    async def act(tasks: BackgroundTasks) -> None:
        fields = await a_desk(parts, tasks, max_wait_s=2.0).admit(a_principal(WIDE), context)
        assert fields["RateLimit"] == '"key-requests";r=2999;t=1'

    parts.play(act)
    assert context.state_lost
    assert parts.meter.counts[("esmgw_store_errors_total", "state", "charge_rate")] == 1


def test_a_count_that_somebody_else_wrote_admits_nobody() -> None:
    parts = Parts()

    async def damaged(*_: object) -> Verdict:
        raise StoreUnavailable("charge_rate", "foreign")

    parts.ledger.charge_rate = damaged  # type: ignore[method-assign, assignment]

    async def act(tasks: BackgroundTasks) -> None:
        with pytest.raises(Problem) as refused:
            await admit(a_desk(parts, tasks, max_wait_s=2.0), a_principal(WIDE))
        assert (refused.value.type.slug, refused.value.type.status) == ("state-unavailable", 503)
        assert refused.value.headers == {"Retry-After": "2"}

    parts.play(act)


def test_a_store_lost_at_the_end_does_not_keep_the_worker_from_stopping() -> None:
    parts, who = Parts(), a_principal(WIDE)

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        await admit(desk, who)
        await admit(desk, who)
        parts.ledger.lost.add("return_rate")
        await desk.close()

    parts.play(act)
    assert parts.meter.counts[("esmgw_store_errors_total", "state", "return_rate")] == 1


def test_a_refusal_says_which_limit_and_never_a_time_that_is_too_early() -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=40, burst=1))

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        shown = await admit(desk, who)
        assert shown == {"RateLimit-Policy": '"key-requests";q=40;w=60', "RateLimit": '"key-requests";r=0;t=2'}
        await parts.clock.sleep(0.3)
        with pytest.raises(Problem) as refused:
            await admit(desk, who)
        assert (refused.value.type.slug, refused.value.type.status) == ("rate-exceeded", 429)
        # It was held for half a second, and says what is left then.
        assert refused.value.headers == {**shown, "RateLimit": '"key-requests";r=0;t=1', "Retry-After": "1"}
        assert "frees up in 1 s" in refused.value.detail
        await parts.clock.sleep(float(refused.value.headers["Retry-After"]))
        await admit(desk, who)

    parts.play(act)
    assert parts.meter.counts[("esmgw_quota_refusals_total", "key-requests")] == 1


def test_a_moment_s_wait_is_in_the_trace_and_not_a_refusal() -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=60, burst=1))

    async def act(tasks: BackgroundTasks) -> None:
        desk, context = a_desk(parts, tasks, max_wait_s=2.0), RequestContext("r1", lambda: 0.0)
        await admit(desk, who)
        await desk.admit(who, context)
        assert round(context.queue_s, 2) == 1.0

    parts.play(act)


STEP = st.tuples(
    st.integers(0, 2), st.sampled_from(["admit"] * 6 + ["sweep", "close"]), st.sampled_from([0, 0, 1, 300])
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=150), st.sampled_from([1, 30, 400]), st.sampled_from([60, 600]))
def test_three_workers_together_never_admit_more_than_the_limit(
    steps: list[tuple[int, str, int]], burst: int, rpm: int
) -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=rpm, burst=burst))
    granted, charge = 0, parts.ledger.charge_rate

    async def counting(*asked: object) -> Verdict:
        nonlocal granted
        verdict = await charge(*asked)  # type: ignore[arg-type]
        granted += verdict.granted
        return verdict

    async def act(tasks: BackgroundTasks) -> None:
        desks, admitted, start = [a_desk(parts, tasks) for _ in range(3)], 0, parts.clock.now()
        parts.ledger.charge_rate = counting  # type: ignore[assignment]
        for which, what, ms in steps:
            parts.clock.advance(ms / 1000)
            if what == "admit":
                outcomes = await asyncio.gather(*(admit(desks[which], who) for _ in range(9)), return_exceptions=True)
                admitted += sum(isinstance(outcome, Mapping) for outcome in outcomes)
            else:
                await (desks[which].sweep() if what == "sweep" else desks[which].close())
            assert admitted <= granted
            assert admitted <= burst + (parts.clock.now() - start + 0.001) * rpm / 60

    parts.play(act)


class FarLedger(FakeLedger):
    """A ledger whose answers take a millisecond, so that callers meet."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.journal, parts.clock.now)
        self._clock = parts.clock

    async def charge_rate(self, subject: str, limits: tuple[Limit, ...], in_advance: int) -> Verdict:
        await self._clock.sleep(0.001)
        return await super().charge_rate(subject, limits, in_advance)


def at_a_distance() -> Parts:
    parts = Parts()
    parts.ledger = FarLedger(parts)
    return parts


def test_many_at_once_are_let_in_by_few_charges_and_each_has_been_charged() -> None:
    parts, who = at_a_distance(), a_principal(WIDE)

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        for _ in range(10):
            await admit(desk, who)
        before = in_store(parts)
        await asyncio.gather(*(admit(desk, who) for _ in range(200)))
        assert in_store(parts) - before < 20
        await desk.close()
        assert left(parts, who) == 3000 - 210

    parts.play(act)


def test_who_waits_for_a_charge_that_is_lost_is_counted_here_and_nobody_waits_for_ever() -> None:
    parts, who = at_a_distance(), a_principal(WIDE)

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        await admit(desk, who)
        await admit(desk, who)
        charged = 3000 - left(parts, who)
        parts.ledger.lost.add("charge_rate")
        contexts = [RequestContext("r1", lambda: 0.0) for _ in range(20)]
        await asyncio.gather(*(desk.admit(who, context) for context in contexts))
        assert sum(context.state_lost for context in contexts) == 20 - (charged - 2)
        parts.ledger.lost.clear()
        await admit(desk, who)

    parts.play(act)
