"""Rate: let a request in, have it wait a moment in a fair line, or refuse it.

Where a holder is far from a limit, a worker charges a few requests in advance and serves the next ones from that
allowance without a store call; what it does not use within a quarter of a second it gives back. What is admitted has
always been charged before, so the limit holds exactly over any number of processes.
"""

from dataclasses import dataclass

from gateway.core.metrics import QUOTA_REFUSALS, STORE_ERRORS
from gateway.core.nouns import Principal
from gateway.core.problems import RATE_EXCEEDED, STATE_UNAVAILABLE, Problem
from gateway.core.quota import Limit, LimitBook, Verdict
from gateway.core.ratelimit import policy_field, state_field
from gateway.flow.line import Line
from gateway.ports import Clock, Ledger, Meter, StoreUnavailable, Tasks

GOOD_FOR_S = 0.25
MOST_IN_ADVANCE = 64
FREE = Verdict(None, 0.0, ())


@dataclass(slots=True)
class _Allowance:
    """What one worker has charged for one key and not used yet."""

    subject: str
    limits: tuple[Limit, ...]
    left: int = 0
    until: float = 0.0
    fetched: float = float("-inf")
    batch: int = 0
    verdict: Verdict = FREE


class Admission:
    """The rate desk of one worker."""

    def __init__(self, ledger: Ledger, book: LimitBook, line: Line, clock: Clock, tasks: Tasks, meter: Meter) -> None:
        self._ledger, self._book, self._line = ledger, book, line
        self._clock, self._tasks, self._meter = clock, tasks, meter
        self._allowances: dict[str, _Allowance] = {}

    async def admit(self, who: Principal) -> Verdict:
        """Charge one request; a 429 problem when the line is too long or the wait would be. 503 if nobody can tell."""
        allowance = self._allowances.get(who.key.public_id)
        if allowance is not None and allowance.left > 0 and self._clock.monotonic() < allowance.until:
            allowance.left -= 1
            return allowance.verdict
        limits = self._book.rate(who)
        if not limits:
            return FREE
        verdict = await self._line.pass_through(f"rate {who.user}", lambda: self._charge(who, limits))
        if verdict.refused_by is not None:
            raise self._refused(who, verdict, verdict.refused_by)
        return verdict

    async def _charge(self, who: Principal, limits: tuple[Limit, ...]) -> Verdict:
        now = self._clock.monotonic()
        held = self._allowances.setdefault(who.key.public_id, _Allowance(who.user, limits))
        busy = now - held.fetched < GOOD_FOR_S
        held.batch = min(MOST_IN_ADVANCE, 2 * held.batch + 1) if busy else 0
        held.fetched = now
        try:
            verdict = await self._ledger.charge_rate(who.user, limits, held.batch)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "charge_rate")
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        if verdict.admitted:
            held.left += verdict.granted - 1
            held.until = self._clock.monotonic() + GOOD_FOR_S
            held.verdict = verdict
        return verdict

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
        headers = {
            "Retry-After": str(wait),
            "RateLimit-Policy": policy_field(self._book.all(who)),
            "RateLimit": state_field(verdict.standings),
        }
        return Problem(
            RATE_EXCEEDED, f"{limit.amount} requests a minute; the next one frees up in {wait} s.", (), headers
        )
