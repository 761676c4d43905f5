"""Single-flight: one computation for equal calls that arrive at once, in this process and, by a lease, in all of them.

The first caller leads: pays, computes, stores. The others follow and pay nothing. A leader who is refused (quota, a
key that ended) hands over to the next; a leader whose process dies or hangs loses its lease by expiry, and another
takes over. Followers share the answer, or the upstream's failure; never a leader's refusal, nor a failure for want of
time where they have more of it. Leases: `distributed_flight.py`.

Each caller brings the deadline of their own call. Who follows came later than the leader and so waits for longer:
nobody is told that it took too long while their leader may still have the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from gateway.core.metrics import COLLAPSED
from gateway.core.problems import UPSTREAM_TIMEOUT, Problem
from gateway.core.types import Answer
from gateway.flow.distributed_flight import Check, DistributedFlight, Fits
from gateway.flow.flight_result import LANDING_S, NO_RESULT, FailureMessages, FlightResult
from gateway.flow.runtime import Runtime
from gateway.ports import CacheStore


class Landing:
    """The result of a flight to come, and how many callers wait for it."""

    def __init__(self, result: "asyncio.Future[FlightResult]", abandon: Callable[[], None] | None) -> None:
        self.result, self._abandon, self._waiting = result, abandon, 0

    @contextmanager
    def interest(self) -> Iterator[None]:
        """One caller, for as long as they wait. When the last one goes away before it has landed, it is abandoned."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0 and self._abandon is not None and not self.result.done():
                self._abandon()


Lead = Callable[[], Awaitable[FlightResult]]
FlightSource = Literal["computed", "process", "distributed"]
COMPUTED: FlightSource = "computed"
DISTRIBUTED: FlightSource = "distributed"


def anything(_: Answer) -> bool:
    """Fits a caller who accepts any answer."""
    return True


class SingleFlight:
    """The flights of one worker."""

    def __init__(
        self, cache: CacheStore, runtime: Runtime, check: Check, failures: FailureMessages, lease_s: float
    ) -> None:
        self._clock, self._tasks, self._meter = runtime.clock, runtime.tasks, runtime.meter
        self._distributed = DistributedFlight(cache, runtime, check, failures, lease_s)
        self._flights: dict[str, Landing] = {}

    @property
    def held(self) -> int:
        """How many computations are under way."""
        return len(self._flights)

    async def run(
        self,
        cache_key: str,
        lead: Lead,
        *,
        deadline: float,
        distributed: bool,
        fits: Fits = anything,
        owner: str | None = None,
        abandon: Callable[[], None] | None = None,
    ) -> tuple[Answer, FlightSource, bool]:
        """The answer for this cache key, its source, and whether it is stored.

        `lead` computes it for exactly one of the callers who ask at the same time, and runs to its end even if that
        caller goes away. Raises the caller's own refusal, the upstream's failure, or 504 where another caller's answer
        has not come by the `deadline` (monotonic) of this caller's call. An answer that does not fit a caller is not
        shared with them. Without `distributed`, other processes are not asked. `abandon` is called when the last caller
        has gone away.

        `owner` is a fresh name under which `lead` puts the answer into the store (CacheStore.put); that ends the lease
        and notifies the others in the same round trip. Without it, another one is needed.
        """
        while (landing := self._flights.get(cache_key)) is not None:
            with landing.interest():
                result = await self._follow(landing.result, deadline)
            if result.failure is not None and result.concerns(deadline - self._clock.monotonic()):
                raise result.failure.with_traceback(None)
            if result.answer is not None and fits(result.answer):
                self._meter.count(COLLAPSED, "process")
                return result.answer, "process", result.stored
        landing = self._flights[cache_key] = Landing(asyncio.get_running_loop().create_future(), abandon)
        with landing.interest():
            flight = self._fly(cache_key, lead, landing.result, deadline, fits if distributed else None, owner)
            return await self._tasks.run(flight)

    async def _follow(self, flight: "asyncio.Future[FlightResult]", deadline: float) -> FlightResult:
        try:
            async with asyncio.timeout(max(0.0, deadline + LANDING_S - self._clock.monotonic())):
                return await asyncio.shield(flight)
        except TimeoutError:
            raise _took_too_long() from None

    async def _fly(
        self,
        cache_key: str,
        lead: Lead,
        flight: "asyncio.Future[FlightResult]",
        deadline: float,
        fits: Fits | None,
        owner: str | None,
    ) -> tuple[Answer, FlightSource, bool]:
        name = owner or self._clock.token(8).hex()
        result, source = NO_RESULT, COMPUTED
        try:
            found, leased = None, False
            if fits is not None:
                found, leased = await self._distributed.enter(cache_key, name, fits, deadline)
            if leased:
                self._tasks.start(self._hold(cache_key, name, flight, ends_by_storing=owner is not None))
            if found is not None:
                result, source = found, DISTRIBUTED
            elif self._clock.monotonic() >= deadline:
                raise _took_too_long()
            else:
                result = await lead()
        finally:
            del self._flights[cache_key]
            flight.set_result(result)
        if result.answer is None:
            raise result.failure or Problem(UPSTREAM_TIMEOUT)
        return result.answer, source, result.stored

    async def _hold(
        self, cache_key: str, name: str, flight: "asyncio.Future[FlightResult]", ends_by_storing: bool
    ) -> None:
        """Keep the lease until the flight has landed; end it then, unless storing the answer has done so."""
        result = await self._distributed.hold(cache_key, name, flight)
        if result is not None and not (result.stored and ends_by_storing):
            await self._distributed.release(cache_key, name, result)


def _took_too_long() -> Problem:
    return Problem(UPSTREAM_TIMEOUT, "Another caller's equal call took too long.")
