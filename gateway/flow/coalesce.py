"""One computation for equal calls that come at once: in this process by a flight, in the fleet by a lease.

The first caller leads: pays, computes, stores. The others follow and pay nothing. A leader who may not (quota) hands
over to the next; a leader whose process dies loses the lease by itself, and another takes it. Followers share the
answer, or the failure of the upstream; never a leader's refusal.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from gateway.core.metrics import COALESCED, STORE_ERRORS
from gateway.core.nouns import Answer
from gateway.core.problems import UPSTREAM_TIMEOUT, Problem
from gateway.ports import CacheStore, Clock, Meter, Promise, StoreUnavailable, Tasks

POLL_FIRST_S, POLL_LAST_S = 0.01, 0.1


@dataclass(frozen=True, slots=True)
class Landed:
    """How a flight ended: an answer, the upstream's failure, or (neither) the leader could not go."""

    answer: Answer | None = None
    failure: Problem | None = None
    stored: bool = False


HANDED_OVER = Landed()
Lead = Callable[[], Awaitable[Landed]]
Check = Callable[[str, bytes], Awaitable[Answer | None]]
Came = Literal["led", "process", "fleet"]
LED: Came = "led"
FLEET: Came = "fleet"


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
        self._cache, self._clock, self._tasks, self._meter = cache, clock, tasks, meter
        self._check, self._lease_s, self._patience_s = check, lease_s, patience_s
        self._flights: dict[str, Promise[Landed]] = {}

    async def once(self, address: str, lead: Lead, *, fleet: bool) -> tuple[Answer, Came, bool]:
        """The answer for this address, how it came, and whether it is stored.

        It is computed by `lead` in exactly one of those who ask at the same time, and `lead` runs to its end even if
        its caller goes away. Raises the caller's own refusal, the upstream's failure, or 504 where the answer took
        longer than any upstream call may. Without `fleet`, other processes are not asked.
        """
        deadline = self._clock.monotonic() + self._patience_s
        while (flight := self._flights.get(address)) is not None:
            landed = await self._follow(flight, deadline)
            if landed.failure is not None:
                raise landed.failure.with_traceback(None)
            if landed.answer is not None:
                self._meter.count(COALESCED, "process")
                return landed.answer, "process", landed.stored
        flight = self._flights[address] = self._tasks.promise()
        return await self._tasks.spawn(self._fly(address, lead, flight, fleet))

    async def _follow(self, flight: Promise[Landed], deadline: float) -> Landed:
        try:
            return await self._tasks.within(max(0.0, deadline - self._clock.monotonic()), flight.wait())
        except TimeoutError:
            raise Problem(UPSTREAM_TIMEOUT, "Another caller's equal call took too long.") from None

    async def _fly(self, address: str, lead: Lead, flight: Promise[Landed], fleet: bool) -> tuple[Answer, Came, bool]:
        owner = self._clock.token(8).hex()
        landed, came = HANDED_OVER, LED
        try:
            answer, leased = await self._from_fleet(address, owner) if fleet else (None, False)
            if leased:
                self._tasks.spawn(self._hold(address, owner, flight))
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

    async def _from_fleet(self, address: str, owner: str) -> tuple[Answer | None, bool]:
        """Another process's answer, or None once we may compute; and whether the lease is ours.

        With the cache store lost nobody can coordinate, and we go alone.
        """
        wait, deadline = POLL_FIRST_S, self._clock.monotonic() + self._patience_s
        try:
            while self._clock.monotonic() < deadline:
                ours, blob = await self._cache.claim(address, owner, self._lease_s)
                answer = await self._check(address, blob) if blob is not None else None
                if answer is not None:
                    self._meter.count(COALESCED, "fleet")
                if ours or answer is not None:
                    return answer, ours
                await self._clock.sleep(wait)
                wait = min(POLL_LAST_S, wait * 1.5)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "claim")
        return None, False

    async def _hold(self, address: str, owner: str, flight: Promise[Landed]) -> None:
        """Keep the lease while the flight is under way; let go of it if no entry has come to stand before it."""
        try:
            while (landed := await self._landed(flight)) is None:
                await self._cache.renew(address, owner, self._lease_s)
            if not landed.stored:
                await self._cache.release(address, owner)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "lease")

    async def _landed(self, flight: Promise[Landed]) -> Landed | None:
        try:
            return await self._tasks.within(self._lease_s / 3, flight.wait())
        except TimeoutError:
            return None
