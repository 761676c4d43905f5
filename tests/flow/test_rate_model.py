"""Several workers at one limit, in any order and at any pace: what they admit keeps to the limit in every window."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.core.problems import Problem
from gateway.core.quota import Limit, LimitConfig, Verdict
from gateway.core.types import Limits, Principal
from gateway.flow.admission import Admission
from gateway.flow.context import RequestContext
from gateway.flow.runtime import BackgroundTasks
from gateway.flow.wait_queue import WaitQueue
from gateway.flow.waiting_limit import WaitingLimit
from gateway.ports import StoreUnavailable
from tests.fakes.stores import FakeLedger
from tests.flow.harness import Parts, a_principal

# The ledger's clock counts whole milliseconds.
GRAIN_S = 0.0011


class FarLedger(FakeLedger):
    """A ledger some way off, with its own clock. `charged`: when the requests were charged that were let in for it."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.journal, lambda: parts.clock.now() - self.behind_s)
        self.behind_s, self.there_s, self.back_s = 0.0, 0.0, 0.0
        self.loses_replies = False
        self.clock = parts.clock
        self.charged: list[tuple[tuple[Limit, ...], float]] = []

    async def charge_rate(self, subject: str, limits: tuple[Limit, ...], in_advance: int) -> Verdict:
        await self.clock.sleep(self.there_s)
        verdict = self.rules.charge_rate(subject, limits, in_advance)
        at = self.clock.now()
        await self.clock.sleep(self.back_s)
        if self.loses_replies:
            raise StoreUnavailable("charge_rate")
        if verdict.admitted:
            self.charged.append((limits, at))
        return verdict

    async def return_rate(self, subject: str, limits: tuple[Limit, ...], count: int, charged_at: int) -> None:
        await self.clock.sleep(self.there_s)
        self.rules.return_rate(subject, limits, count, charged_at)
        await self.clock.sleep(self.back_s)


class Workers:
    """Workers at one ledger; `times` are those of all admitted requests, by limit."""

    def __init__(self, parts: Parts, tasks: BackgroundTasks, config: LimitConfig, count: int) -> None:
        self.parts, self.config, self.ledger = parts, config, FarLedger(parts)
        self.times: dict[Limit, list[float]] = {}
        self.refused = 0
        self.desks = [self._desk(tasks) for _ in range(count)]
        self.sweeping = [asyncio.ensure_future(desk.forever()) for desk in self.desks]
        self.asking: list[asyncio.Future[None]] = []

    def _desk(self, tasks: BackgroundTasks) -> Admission:
        queue = WaitQueue(self.parts.runtime(tasks), 0.0, WaitingLimit(self.parts.meter, 1000, 1000))
        desk = Admission(self.ledger, self.config, queue, self.parts.runtime(tasks), 0.0)
        in_advance = desk.in_advance

        def noted(who: Principal) -> Mapping[str, str] | None:
            fields = in_advance(who)
            if fields is not None:
                self._admitted(self.config.rate_limits(who), self.parts.clock.now())
            return fields

        desk.in_advance = noted  # type: ignore[method-assign]
        return desk

    def ask(self, which: int, who: Principal, count: int) -> None:
        self.asking += [asyncio.ensure_future(self._ask(self.desks[which], who)) for _ in range(count)]

    async def _ask(self, desk: Admission, who: Principal) -> None:
        try:
            await desk.admit(who, RequestContext("r1", self.parts.clock.monotonic))
        except Problem:
            self.refused += 1

    def _admitted(self, limits: Iterable[Limit], at: float) -> None:
        for limit in limits:
            self.times.setdefault(limit, []).append(at)

    async def ended(self) -> None:
        self.ledger.loses_replies = False
        await asyncio.gather(*self.asking)
        for desk in self.desks:
            await desk.close()
        for loop in self.sweeping:
            loop.cancel()
        for limits, at in self.ledger.charged:
            self._admitted(limits, at)


def beyond(times: Iterable[float], limit: Limit) -> float:
    """By how many requests the limit was exceeded in the worst window (GCRA); 0.0 where it never was."""
    interval_s, arrival, worst = limit.window_s / limit.amount, float("-inf"), 0.0
    for at in sorted(times):
        arrival = max(arrival, at) + interval_s
        worst = max(worst, (arrival - at - GRAIN_S) / interval_s - limit.burst)
    return worst


STEP = st.tuples(
    st.integers(0, 2),
    st.sampled_from(["k1", "k1", "k2"]),
    st.sampled_from([0, 1, 2, 9, 60, 180]),
    st.sampled_from([0.0, 0.0, 0.001, 0.02, 0.2, 0.26, 0.3, 1.0, 5.0]),
    st.sampled_from(["", "", "", "", "", "", "slow there", "slow back", "quick", "lost", "clock"]),
)
# Two workers with a little in advance each, kept alive by now and then a request; then all at once.
KEPT_ALIVE = [(i % 2, "k1", 1, 0.128, "") for i in range(40)]
LATE = [(0, "k1", 2, 0.24, ""), (1, "k1", 180, 0.0, ""), (0, "k1", 60, 0.3, ""), (1, "k1", 180, 0.0, "")]


# One worker has charged a few in advance; while they lie unused, the limit frees up, and the other takes it all.
AGED = [*[(0, "k1", 1, 0.001, "")] * 5, (0, "k1", 0, 0.2, ""), (1, "k1", 180, 0.0, ""), (0, "k1", 60, 0.0, "")]


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(STEP, max_size=25),
    user=st.sampled_from([(60_000, 160), (6000, 170), (600, 160), (90, 64), (600, 1)]),
    key=st.sampled_from([None, (60_000, 100), (120, 200)]),
)
@example(steps=AGED, user=(6000, 170), key=None)
@example(steps=AGED, user=(1200, 160), key=None)
@example(steps=LATE, user=(60_000, 160), key=None)
@example(steps=[*KEPT_ALIVE, (0, "k1", 180, 0.0, ""), (1, "k1", 180, 0.0, "")], user=(600, 160), key=None)
@example(steps=[*LATE, (0, "k1", 1, 0.3, "slow back"), *LATE, *LATE], user=(60_000, 160), key=(60_000, 100))
def test_three_workers_never_admit_more_than_the_limit_in_any_window(
    steps: list[tuple[int, str, int, float, str]], user: tuple[int, int], key: tuple[int, int] | None
) -> None:
    of_user = Limits(requests_per_minute=user[0], burst=user[1])
    of_key = Limits() if key is None else Limits(requests_per_minute=key[0], burst=key[1])
    people = {public_id: a_principal(of_key, public_id=public_id) for public_id in ("k1", "k2")}
    parts = Parts()
    told: list[Workers] = []

    async def act(tasks: BackgroundTasks) -> None:
        workers = Workers(parts, tasks, LimitConfig(of_user), 3)
        told.append(workers)
        for which, public_id, count, pause_s, event in steps:
            happens(workers.ledger, event)
            workers.ask(which, people[public_id], count)
            await parts.clock.sleep(pause_s)
        await workers.ended()

    parts.play(act)
    for limit, times in told[0].times.items():
        assert beyond(times, limit) <= 0.0, limit


def happens(ledger: FarLedger, event: str) -> None:
    changes: Mapping[str, Mapping[str, Any]] = {
        "slow there": {"there_s": 0.3},
        "slow back": {"back_s": 0.3},
        "quick": {"there_s": 0.001, "back_s": 0.001, "loses_replies": False},
        "lost": {"loses_replies": True},
        "clock": {"behind_s": ledger.behind_s + 3600.0},
    }
    for name, value in changes.get(event, {}).items():
        setattr(ledger, name, value)


@pytest.mark.parametrize("rpm, burst", [(600, 600), (6000, 640), (60_000, 640)])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_who_keeps_to_the_limit_is_never_refused_whatever_is_charged_in_advance(
    rpm: int, burst: int, share: float
) -> None:
    parts, who = Parts(), a_principal()
    told: list[Workers] = []

    async def act(tasks: BackgroundTasks) -> None:
        workers = Workers(parts, tasks, LimitConfig(Limits(requests_per_minute=rpm, burst=burst)), 3)
        told.append(workers)
        workers.ledger.there_s = workers.ledger.back_s = 0.0005
        for n in range(1500):
            workers.ask(n // 7 % 3, who, 1)
            await parts.clock.sleep(60 / (rpm * share))
        await workers.ended()

    parts.play(act)
    assert told[0].refused == 0
    (times,) = told[0].times.values()
    assert len(times) == 1500


def test_the_measure_itself_sees_one_request_too_many() -> None:
    limit = Limit("user-requests", "rate", "u:ada", 60, 60, 5)
    assert beyond([0.0] * 5 + [1.0, 2.0, 2.002 + 1.0], limit) == 0.0
    assert beyond([0.0] * 6, limit) > 0.9
    assert beyond([0.0] * 5 + [0.5], limit) > 0.4
