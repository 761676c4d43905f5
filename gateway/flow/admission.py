"""Rate: let a request in, have it wait a moment in a fair line, or refuse it.

Where a holder is far from a limit, a worker charges a few requests in advance and serves the next ones from that
allowance without a store call; what it does not use within a quarter of a second it gives back. What is admitted has
always been charged before, so the limit holds exactly over any number of processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.metrics import QUOTA_REFUSALS, STORE_ERRORS
from gateway.core.problems import RATE_EXCEEDED, STATE_UNAVAILABLE, Problem
from gateway.core.quota import Limit, LimitConfig, Verdict, ratelimit_fields
from gateway.core.types import Principal
from gateway.flow.context import RequestContext
from gateway.flow.wait_queue import WaitQueue
from gateway.ports import Clock, Ledger, Meter, Promise, StoreUnavailable, Tasks

GOOD_FOR_S = 0.25
MOST_IN_ADVANCE = 256
NO_LIMITS: Mapping[str, str] = {}


@dataclass(slots=True)
class _Allowance:
    """What one worker has charged for one key and not used yet, and the fields that an answer then carries."""

    subject: str
    limits: tuple[Limit, ...]
    left: int = 0
    until: float = 0.0
    fetched: float = float("-inf")
    batch: int = 0
    charging: Promise[bool] | None = None
    shown: Mapping[str, str] = field(default_factory=dict)


class Admission:
    """The rate desk of one worker."""

    def __init__(
        self, ledger: Ledger, limit_config: LimitConfig, line: WaitQueue, clock: Clock, tasks: Tasks, meter: Meter
    ) -> None:
        self._ledger, self._limit_config, self._line = ledger, limit_config, line
        self._clock, self._tasks, self._meter = clock, tasks, meter
        self._allowances: dict[str, _Allowance] = {}

    async def admit(self, who: Principal, context: RequestContext) -> Mapping[str, str]:
        """Charge one request; answers the RateLimit fields.

        A 429 problem when the line is too long or the wait would be; 503 if nobody can tell.
        """
        shown = self.in_advance(who)
        if shown is not None:
            return shown
        limits = self._limit_config.rate_limits(who)
        if not limits:
            return NO_LIMITS
        shown = await self._with_another(who)
        if shown is not None:
            return shown
        verdict = await self._line.acquire(f"rate {who.user}", lambda: self._charge(who, limits))
        context.queue_s += verdict.waited_s
        if verdict.refused_by is not None:
            raise self._refused(who, verdict, verdict.refused_by)
        return self._shown(who, verdict)

    def in_advance(self, who: Principal) -> Mapping[str, str] | None:
        """The same for a request that has been charged already, without asking anybody; None if none is left."""
        allowance = self._allowances.get(who.key.public_id)
        if allowance is None or allowance.left <= 0 or self._clock.monotonic() >= allowance.until:
            return None
        allowance.left -= 1
        return allowance.shown

    async def _with_another(self, who: Principal) -> Mapping[str, str] | None:
        """A request of those that another one of this key is just charging in advance; None if none is left of them."""
        allowance = self._allowances.get(who.key.public_id)
        while allowance is not None and allowance.charging is not None:
            more = await allowance.charging.wait()
            shown = self.in_advance(who)
            if shown is not None or not more:
                return shown
        return None

    async def _charge(self, who: Principal, limits: tuple[Limit, ...]) -> Verdict:
        now = self._clock.monotonic()
        held = self._allowances.setdefault(who.key.public_id, _Allowance(who.user, limits))
        busy = now - held.fetched < GOOD_FOR_S
        held.batch = min(MOST_IN_ADVANCE, 2 * held.batch + 1) if busy else 0
        held.fetched = now
        more = False
        mine = self._tasks.promise() if held.charging is None and held.batch > 0 else None
        held.charging = mine or held.charging
        try:
            verdict = await self._ledger.charge_rate(who.user, limits, held.batch)
            if verdict.admitted:
                held.left += verdict.granted - 1
                held.until = self._clock.monotonic() + GOOD_FOR_S
                more = held.left > 0
                if more:
                    held.shown = self._shown(who, verdict)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "charge_rate")
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        finally:
            if mine is not None:
                held.charging = None
                mine.set(more)
        return verdict

    def _shown(self, who: Principal, verdict: Verdict) -> Mapping[str, str]:
        return ratelimit_fields(self._limit_config.all(who), verdict.statuses)

    async def sweep(self) -> None:
        """Give back what was charged in advance and not used in time, and forget idle allowances."""
        now = self._clock.monotonic()
        for key_id, held in list(self._allowances.items()):
            if now < held.until or now - held.fetched < GOOD_FOR_S:
                continue
            del self._allowances[key_id]
            await self._give_back(held)

    async def close(self) -> None:
        """Give everything back: the worker stops."""
        while self._allowances:
            await self._give_back(self._allowances.popitem()[1])

    async def _give_back(self, held: _Allowance) -> None:
        if held.left > 0:
            try:
                await self._ledger.return_rate(held.subject, held.limits, held.left)
            except StoreUnavailable:
                # Nobody gets more than the limit by this; the requests free up with time.
                self._meter.count(STORE_ERRORS, "state", "return_rate")

    async def forever(self) -> None:
        while True:
            await self._clock.sleep(GOOD_FOR_S)
            await self.sweep()

    def _refused(self, who: Principal, verdict: Verdict, limit: Limit) -> Problem:
        self._meter.count(QUOTA_REFUSALS, limit.name)
        wait = max(1, round(verdict.retry_after_s + 0.499))
        headers = {"Retry-After": str(wait), **self._shown(who, verdict)}
        return Problem(
            RATE_EXCEEDED, f"{limit.amount} requests a minute; the next one frees up in {wait} s.", (), headers
        )
