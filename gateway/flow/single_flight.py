"""One computation for equal calls that come at once: in this process by a flight, in the fleet by a lease.

The first caller leads: pays, computes, stores. The others follow and pay nothing. A leader who may not (quota) hands
over to the next; a leader whose process dies or stands still loses the lease by itself, and another takes it.
Followers share the answer, or the failure of the upstream; never a leader's refusal. Leases are kept in `distributed.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from gateway.core.metrics import COLLAPSED
from gateway.core.problems import UPSTREAM_TIMEOUT, Problem
from gateway.core.types import Answer
from gateway.flow.distributed_flight import Check, DistributedFlight, Fits
from gateway.ports import CacheStore, Clock, Meter, Promise, Tasks


@dataclass(frozen=True, slots=True)
class FlightResult:
    """How a flight ended: an answer, the upstream's failure, or (neither) the leader could not go.

    `only_for`: the canonical digest of the one spelling that the answer fits, where it fits no other.
    """

    answer: Answer | None = None
    failure: Problem | None = None
    stored: bool = False
    only_for: bytes | None = None


NO_RESULT = FlightResult()
Lead = Callable[[], Awaitable[FlightResult]]
FlightSource = Literal["led", "process", "distributed"]
LED: FlightSource = "led"
DISTRIBUTED: FlightSource = "distributed"


def anything(_: Answer) -> bool:
    """Fits whoever wants any answer."""
    return True


class SingleFlight:
    """The flights of one worker."""

    def __init__(
        self,
        cache: CacheStore,
        clock: Clock,
        tasks: Tasks,
        meter: Meter,
        check: Check,
        lease_s: float,
        patience_s: float,
    ) -> None:
        self._clock, self._tasks, self._meter, self._patience_s = clock, tasks, meter, patience_s
        self._distributed = DistributedFlight(cache, clock, tasks, meter, check, lease_s)
        self._flights: dict[str, Promise[FlightResult]] = {}

    async def once(
        self,
        cache_key: str,
        lead: Lead,
        *,
        distributed: bool,
        canonical: bytes = b"",
        fits: Fits = anything,
        owner: str | None = None,
    ) -> tuple[Answer, FlightSource, bool]:
        """The answer for this address in this spelling (`canonical`), how it came, and whether it is stored.

        It is computed by `lead` in exactly one of those who ask at the same time, and `lead` runs to its end even if
        its caller goes away. Raises the caller's own refusal, the upstream's failure, or 504 where the answer took
        longer than any upstream call may. An answer that does not fit its caller is not shared with him. Without
        `distributed`, other processes are not asked.

        `owner` is a fresh name under which `lead` puts the answer into the store (CacheStore.put); that ends the lease
        and tells the others in the same round trip. Without it, another one is needed.
        """
        deadline = self._clock.monotonic() + self._patience_s
        while (flight := self._flights.get(cache_key)) is not None:
            result = await self._follow(flight, deadline)
            if result.failure is not None:
                raise result.failure.with_traceback(None)
            if result.answer is not None and result.only_for in (None, canonical) and fits(result.answer):
                self._meter.count(COLLAPSED, "process")
                return result.answer, "process", result.stored
        flight = self._flights[cache_key] = self._tasks.promise()
        return await self._tasks.spawn(self._fly(cache_key, lead, flight, fits if distributed else None, owner))

    async def _follow(self, flight: Promise[FlightResult], deadline: float) -> FlightResult:
        try:
            return await self._tasks.within(max(0.0, deadline - self._clock.monotonic()), flight.wait())
        except TimeoutError:
            raise Problem(UPSTREAM_TIMEOUT, "Another caller's equal call took too long.") from None

    async def _fly(
        self, cache_key: str, lead: Lead, flight: Promise[FlightResult], fits: Fits | None, owner: str | None
    ) -> tuple[Answer, FlightSource, bool]:
        name = owner or self._clock.token(8).hex()
        result, source = NO_RESULT, LED
        try:
            answer, leased = None, False
            if fits is not None:
                answer, leased = await self._distributed.enter(cache_key, name, fits, self._patience_s)
            if leased:
                self._tasks.spawn(self._hold(cache_key, name, flight, ends_by_storing=owner is not None))
            if answer is not None:
                result, source = FlightResult(answer, stored=True), DISTRIBUTED
            else:
                result = await lead()
        finally:
            del self._flights[cache_key]
            flight.set(result)
        if result.answer is None:
            raise result.failure or Problem(UPSTREAM_TIMEOUT)
        return result.answer, source, result.stored

    async def _hold(self, cache_key: str, name: str, flight: Promise[FlightResult], ends_by_storing: bool) -> None:
        """Keep the lease until the flight has landed; end it then, unless storing the answer has done so."""
        result = await self._distributed.hold(cache_key, name, flight)
        if result is not None and not (result.stored and ends_by_storing):
            await self._distributed.let_go(cache_key, name)
