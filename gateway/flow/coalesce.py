"""One computation for equal calls that come at once: in this process by a flight, in the fleet by a lease.

The first caller leads: pays, computes, stores. The others follow and pay nothing. A leader who may not (quota) hands
over to the next; a leader whose process dies or stands still loses the lease by itself, and another takes it.
Followers share the answer, or the failure of the upstream; never a leader's refusal. Leases are kept in `fleet.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from gateway.core.metrics import COALESCED
from gateway.core.nouns import Answer
from gateway.core.problems import UPSTREAM_TIMEOUT, Problem
from gateway.flow.fleet import Check, Fits, Fleet
from gateway.ports import CacheStore, Clock, Meter, Promise, Tasks


@dataclass(frozen=True, slots=True)
class Landed:
    """How a flight ended: an answer, the upstream's failure, or (neither) the leader could not go.

    `only_for`: the canonical digest of the one spelling that the answer fits, where it fits no other.
    """

    answer: Answer | None = None
    failure: Problem | None = None
    stored: bool = False
    only_for: bytes | None = None


HANDED_OVER = Landed()
Lead = Callable[[], Awaitable[Landed]]
Came = Literal["led", "process", "fleet"]
LED: Came = "led"
FLEET: Came = "fleet"


def anything(_: Answer) -> bool:
    """Fits whoever wants any answer."""
    return True


class Coalescer:
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
        self._fleet = Fleet(cache, clock, tasks, meter, check, lease_s)
        self._flights: dict[str, Promise[Landed]] = {}

    async def once(
        self,
        address: str,
        lead: Lead,
        *,
        fleet: bool,
        canonical: bytes = b"",
        fits: Fits = anything,
        owner: str | None = None,
    ) -> tuple[Answer, Came, bool]:
        """The answer for this address in this spelling (`canonical`), how it came, and whether it is stored.

        It is computed by `lead` in exactly one of those who ask at the same time, and `lead` runs to its end even if
        its caller goes away. Raises the caller's own refusal, the upstream's failure, or 504 where the answer took
        longer than any upstream call may. An answer that does not fit its caller is not shared with him. Without
        `fleet`, other processes are not asked.

        `owner` is a fresh name under which `lead` puts the answer into the store (CacheStore.put); that ends the lease
        and tells the others in the same round trip. Without it, another one is needed.
        """
        deadline = self._clock.monotonic() + self._patience_s
        while (flight := self._flights.get(address)) is not None:
            landed = await self._follow(flight, deadline)
            if landed.failure is not None:
                raise landed.failure.with_traceback(None)
            if landed.answer is not None and landed.only_for in (None, canonical) and fits(landed.answer):
                self._meter.count(COALESCED, "process")
                return landed.answer, "process", landed.stored
        flight = self._flights[address] = self._tasks.promise()
        return await self._tasks.spawn(self._fly(address, lead, flight, fits if fleet else None, owner))

    async def _follow(self, flight: Promise[Landed], deadline: float) -> Landed:
        try:
            return await self._tasks.within(max(0.0, deadline - self._clock.monotonic()), flight.wait())
        except TimeoutError:
            raise Problem(UPSTREAM_TIMEOUT, "Another caller's equal call took too long.") from None

    async def _fly(
        self, address: str, lead: Lead, flight: Promise[Landed], fits: Fits | None, owner: str | None
    ) -> tuple[Answer, Came, bool]:
        name = owner or self._clock.token(8).hex()
        landed, came = HANDED_OVER, LED
        try:
            answer, leased = None, False
            if fits is not None:
                answer, leased = await self._fleet.enter(address, name, fits, self._patience_s)
            if leased:
                self._tasks.spawn(self._hold(address, name, flight, ends_by_storing=owner is not None))
            if answer is not None:
                landed, came = Landed(answer, stored=True), FLEET
            else:
                landed = await lead()
        finally:
            del self._flights[address]
            flight.set(landed)
        if landed.answer is None:
            raise landed.failure or Problem(UPSTREAM_TIMEOUT)
        return landed.answer, came, landed.stored

    async def _hold(self, address: str, name: str, flight: Promise[Landed], ends_by_storing: bool) -> None:
        """Keep the lease until the flight has landed; end it then, unless storing the answer has done so."""
        landed = await self._fleet.hold(address, name, flight)
        if landed is not None and not (landed.stored and ends_by_storing):
            await self._fleet.let_go(address, name)
