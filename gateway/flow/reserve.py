"""Units and concurrency: reserved before the upstream call, settled or refunded after it.

After a lost reply from the ledger the call is refused and the reservation cancelled under its id, whether or not it
had been made. A worker that dies leaves its units charged (the upstream may have worked) and its leases to expire.
"""

from dataclasses import dataclass

from gateway.core.metrics import QUOTA_REFUSALS, STORE_ERRORS, UNITS
from gateway.core.problems import CONCURRENCY_EXCEEDED, QUOTA_EXHAUSTED, STATE_CLOSED, STATE_UNAVAILABLE, Problem
from gateway.core.quota import Limit, LimitConfig, Reservation, Verdict, ratelimit_fields
from gateway.core.retry_after import retry_after, try_again
from gateway.core.types import Call, Principal
from gateway.flow.context import RequestContext
from gateway.flow.runtime import Runtime
from gateway.flow.wait_queue import POLL_S, WaitQueue
from gateway.ports import Ledger, StateClosed, StoreUnavailable

# About five minutes: a refund that is given up is lost to its holder until midnight.
SETTLE_ATTEMPTS = 66


@dataclass(frozen=True, slots=True)
class HeldReservation:
    """A reservation that was made, with the ledger's verdict on it."""

    call: Call
    reservation: Reservation
    verdict: Verdict


class Reserver:
    """Reserves and settles for one worker."""

    def __init__(self, ledger: Ledger, limits: LimitConfig, queue: WaitQueue, runtime: Runtime, lease_s: float) -> None:
        self._ledger, self._limits, self._queue, self._lease_s = ledger, limits, queue, lease_s
        self._clock, self._tasks, self._meter = runtime.clock, runtime.tasks, runtime.meter

    async def reserve(
        self, who: Principal, call: Call, context: RequestContext, until: float = float("inf")
    ) -> HeldReservation:
        """Everything that the call will cost, or a problem: 403 units spent, 429 too many at once, 503 no ledger.

        Nobody waits beyond `until` (monotonic).
        """
        limits = self._limits.upstream_limits(who)
        reservation = Reservation(self._clock.token(12).hex(), who.user, limits, call.units)
        if not limits:
            return HeldReservation(call, reservation, Verdict(None, 0.0, ()))
        verdict = await self._queue.acquire(
            "work",
            who.user,
            lambda: self._attempt(reservation),
            waits_for=_is_concurrency,
            waited_s=context.queue_s,
            until=until,
        )
        context.queue_s += verdict.waited_s
        if verdict.refused_by is not None:
            raise self._refused(who, call, verdict, verdict.refused_by)
        self._meter.count(UNITS, call.endpoint, "reserved", by=call.units)
        units = [status for status in verdict.statuses if status.limit.kind == "units"]
        context.units_left = ratelimit_fields(self._limits.all(who), units) if units else {}
        return HeldReservation(call, reservation, verdict)

    def settle(self, held: HeldReservation, may_have_worked: bool) -> None:
        """Make the charge final, or give it back. Goes on in the background until the ledger has it."""
        units = held.call.units if may_have_worked else 0
        self._meter.count(UNITS, held.call.endpoint, "settled" if may_have_worked else "refunded", by=held.call.units)
        if held.reservation.limits:
            self._tasks.start(self._settle(held.reservation, units))

    async def _attempt(self, reservation: Reservation) -> Verdict:
        try:
            verdict = await self._ledger.reserve(reservation, self._lease_s)
        except StateClosed:
            raise Problem(STATE_CLOSED, headers={"Retry-After": "60"}) from None
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "reserve")
            self._tasks.start(self._settle(reservation, 0))
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        if _is_concurrency(verdict):
            # The store knows when a lease expires, not when a call ends; calls end sooner.
            return Verdict(verdict.refused_by, min(POLL_S, verdict.retry_after_s or POLL_S), verdict.statuses)
        return verdict

    async def _settle(self, reservation: Reservation, units: int) -> None:
        wait = 0.05
        for _ in range(SETTLE_ATTEMPTS):
            try:
                return await self._ledger.settle(reservation, units)
            except StoreUnavailable:
                self._meter.count(STORE_ERRORS, "state", "settle")
                await self._clock.sleep(wait)
                wait = min(5.0, wait * 2)
        return None

    def _refused(self, who: Principal, call: Call, verdict: Verdict, limit: Limit) -> Problem:
        self._meter.count(QUOTA_REFUSALS, limit.name)
        headers = {
            **retry_after(verdict.retry_after_s),
            **ratelimit_fields(self._limits.all(who), verdict.statuses),
        }
        if limit.kind == "concurrency":
            detail = f"{limit.amount} calls at once are allowed; {try_again(verdict.retry_after_s)}."
            return Problem(CONCURRENCY_EXCEEDED, detail, (), headers)
        left = next((status.remaining for status in verdict.statuses if status.limit == limit), 0)
        detail = f"The call costs {call.units} units; {left} of {limit.amount} are left until midnight UTC."
        return Problem(QUOTA_EXHAUSTED, detail, (), headers)


def _is_concurrency(verdict: Verdict) -> bool:
    return verdict.refused_by is not None and verdict.refused_by.kind == "concurrency"
