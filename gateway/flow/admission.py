"""Request rates: admit a request, let it wait a moment in a fair queue, or refuse it. Its body is not read before.

Where a holder is far from a limit, a worker charges a few requests in advance and serves the next ones from that
allowance without a store call; what it does not use within a quarter of a second it gives back. An admitted request
has always been charged before, so the limit holds exactly over any number of processes.

An allowance is worth less with every moment: what becomes free at the limit by itself meanwhile can be charged anew,
and would count twice (docs/decisions/0003). While the state store is away, requests are counted in this process
(`outage_rates.py`) and marked: hits go on, and nothing else does.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.core.metrics import QUOTA_REFUSALS, STORE_ERRORS
from gateway.core.problems import RATE_EXCEEDED, STATE_UNAVAILABLE, Problem
from gateway.core.quota import Limit, LimitConfig, Verdict, ratelimit_fields
from gateway.core.types import Principal
from gateway.flow.context import RequestContext
from gateway.flow.outage_rates import OutageRates
from gateway.flow.rate_refusals import RateRefusals
from gateway.flow.runtime import Runtime
from gateway.flow.wait_queue import WaitQueue
from gateway.ports import Ledger, StoreUnavailable

ALLOWANCE_S = 0.25
MAX_IN_ADVANCE = 256
NO_LIMITS: Mapping[str, str] = {}


@dataclass(slots=True)
class _Allowance:
    """What one worker has charged for one key and not used yet, and the fields that an answer then carries.

    Of all that is left, the oldest was charged after `since` (our clock), at `charged_at` (the ledger's).
    """

    subject: str
    limits: tuple[Limit, ...]
    fastest: float
    left: int = 0
    since: float = 0.0
    charged_at: int = 0
    until: float = 0.0
    fetched: float = float("-inf")
    batch: int = 0
    under_way: int = 0
    charging: "asyncio.Future[bool] | None" = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def is_usable(self, now: float) -> bool:
        """Whether one more may be used: what has become free by itself since must be left unused."""
        return self.left > 0 and now < self.until and self.left >= (now - self.since) * self.fastest

    def add(self, verdict: Verdict, asked: float, now: float) -> None:
        """What was granted to a charge that was sent at `asked`."""
        if self.left <= 0:
            self.since, self.charged_at = asked, verdict.charged_at
        self.since, self.charged_at = min(self.since, asked), min(self.charged_at, verdict.charged_at)
        self.left += verdict.granted - 1
        self.until = now + ALLOWANCE_S

    def take(self) -> tuple[int, int]:
        """All that is left, to be given back, and when it was charged."""
        left, self.left = self.left, 0
        return left, self.charged_at


class Admission:
    """Admission of requests to one worker; `max_wait_s` is what the queue grants.

    `state_lost` says whether the state store is known to be away: then it is not asked.
    """

    def __init__(
        self,
        ledger: Ledger,
        limits: LimitConfig,
        queue: WaitQueue,
        runtime: Runtime,
        max_wait_s: float,
        state_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._state_lost, self._outage_rates = state_lost, OutageRates(runtime)
        self._ledger, self._limits, self._queue, self._max_wait_s = ledger, limits, queue, max_wait_s
        self._clock, self._tasks, self._meter = runtime.clock, runtime.tasks, runtime.meter
        self._refusals = RateRefusals(runtime)
        self._allowances: dict[str, _Allowance] = {}
        self._charged = asyncio.Event()

    @property
    def held(self) -> int:
        """For how many keys requests are charged in advance: those used within the last half second."""
        return len(self._allowances)

    async def admit(self, who: Principal, context: RequestContext) -> Mapping[str, str]:
        """Charge one request; returns the RateLimit fields.

        A 429 problem when the queue or the wait is too long. With the state store away it is counted here, and
        `context.state_lost` set; 503 where the store holds something else than the gateway's count.
        """
        fields = self.in_advance(who)
        if fields is not None:
            return fields
        limits = self._limits.rate_limits(who)
        if self._state_lost():
            return await self._count_here(who, limits, context)
        if not limits:
            return NO_LIMITS
        started, queued = context.elapsed_s(), context.queue_s
        try:
            return await self._join_charge(who) or await self._charge_or_refuse(who, limits, context)
        except StoreUnavailable as lost:
            self._meter.count(STORE_ERRORS, "state", "charge_rate")
            if lost.fault == "foreign":
                raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
            return await self._count_here(who, limits, context)
        finally:
            context.store_s += context.elapsed_s() - started - (context.queue_s - queued)

    async def _charge_or_refuse(
        self, who: Principal, limits: tuple[Limit, ...], context: RequestContext
    ) -> Mapping[str, str]:
        verdict = self._refusals.standing(limits)
        if verdict is None or verdict.retry_after_s <= self._max_wait_s:
            verdict = await self._queue.acquire("rate", who.user, lambda: self._charge(who, limits))
        if verdict.refused_by is not None and not verdict.waited_s:
            verdict = await self._refusals.hold(who.user, verdict)
        context.queue_s += verdict.waited_s
        if verdict.refused_by is not None:
            raise self._refused(who, verdict, verdict.refused_by)
        return self._fields(who, verdict)

    async def _count_here(
        self, who: Principal, limits: tuple[Limit, ...], context: RequestContext
    ) -> Mapping[str, str]:
        """Without the state store. Who was over a limit when it went away still is, until the time that it named."""
        context.state_lost = True
        if not limits:
            return NO_LIMITS
        verdict = self._refusals.standing(limits) or self._outage_rates.charge(limits)
        if verdict.refused_by is not None:
            verdict = await self._refusals.hold(who.user, verdict)
            raise self._refused(who, verdict, verdict.refused_by or limits[0])
        return self._fields(who, verdict)

    def in_advance(self, who: Principal) -> Mapping[str, str] | None:
        """The same for a request that was charged in advance, without a store call; None if none is left."""
        allowance = self._allowances.get(who.key.public_id)
        if allowance is None or not allowance.is_usable(self._clock.monotonic()) or self._state_lost():
            return None
        allowance.left -= 1
        return allowance.fields

    async def _join_charge(self, who: Principal) -> Mapping[str, str] | None:
        """One of the requests that another caller with this key is charging in advance now; None if none is left."""
        allowance = self._allowances.get(who.key.public_id)
        while allowance is not None and allowance.charging is not None:
            more = await asyncio.shield(allowance.charging)
            fields = self.in_advance(who)
            if fields is not None or not more:
                return fields
        return None

    async def _charge(self, who: Principal, limits: tuple[Limit, ...]) -> Verdict:
        standing = self._refusals.standing(limits)
        if standing is not None:
            return standing
        now = self._clock.monotonic()
        held = self._allowance(who, limits)
        if held.left > 0 and not held.is_usable(now):
            # Rather than add it to the next charge: an allowance that is kept alive could all be used in one instant.
            self._tasks.start(self._give_back(held.subject, held.limits, *held.take()))
        busy = now - held.fetched < ALLOWANCE_S
        held.batch = min(MAX_IN_ADVANCE, 2 * held.batch + 1) if busy else 0
        held.fetched = now
        more = False
        mine = asyncio.get_running_loop().create_future() if held.charging is None and held.batch > 0 else None
        held.charging = mine or held.charging
        held.under_way += 1
        try:
            verdict = await self._ledger.charge_rate(who.user, limits, held.batch)
            if verdict.admitted:
                held.add(verdict, now, self._clock.monotonic())
                more = held.left > 0
                if more:
                    held.fields = self._fields(who, verdict)
            else:
                self._refusals.remember(limits, verdict)
        finally:
            held.under_way -= 1
            if mine is not None:
                held.charging = None
                mine.set_result(more)
        return verdict

    def _allowance(self, who: Principal, limits: tuple[Limit, ...]) -> _Allowance:
        held = self._allowances.get(who.key.public_id)
        if held is None:
            fastest = max(limit.amount / limit.window_s for limit in limits)
            held = self._allowances[who.key.public_id] = _Allowance(who.user, limits, fastest)
        self._charged.set()
        return held

    def _fields(self, who: Principal, verdict: Verdict) -> Mapping[str, str]:
        return ratelimit_fields(self._limits.all(who), verdict.statuses)

    async def sweep(self) -> None:
        """Give back what was charged in advance and not used in time, and forget idle allowances."""
        now = self._clock.monotonic()
        for key_id, held in list(self._allowances.items()):
            if now < held.until or now - held.fetched < ALLOWANCE_S or held.under_way > 0:
                continue  # also where the store is slow: what it grants would land on an allowance nobody knows
            del self._allowances[key_id]
            await self._give_back(held.subject, held.limits, *held.take())

    async def close(self) -> None:
        """Give everything back, because the worker stops."""
        while self._allowances:
            held = self._allowances.popitem()[1]
            await self._give_back(held.subject, held.limits, *held.take())

    async def _give_back(self, subject: str, limits: tuple[Limit, ...], count: int, charged_at: int) -> None:
        if count > 0:
            try:
                await self._ledger.return_rate(subject, limits, count, charged_at)
                self._refusals.forget(limits)
            except StoreUnavailable:
                # This only delays requests: they become free again with time.
                self._meter.count(STORE_ERRORS, "state", "return_rate")

    async def forever(self) -> None:
        """Sweep for as long as anything is charged in advance; an idle worker sleeps."""
        while await self._charged.wait():
            await self._clock.sleep(ALLOWANCE_S)
            await self.sweep()
            if not self._allowances:
                self._charged.clear()

    def _refused(self, who: Principal, verdict: Verdict, limit: Limit) -> Problem:
        self._meter.count(QUOTA_REFUSALS, limit.name)
        wait = max(1, round(verdict.retry_after_s + 0.499))
        headers = {"Retry-After": str(wait), **self._fields(who, verdict)}
        return Problem(
            RATE_EXCEEDED, f"{limit.amount} requests a minute; the next one frees up in {wait} s.", (), headers
        )
