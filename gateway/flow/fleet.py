"""One computation for equal calls across processes: whoever holds the lease computes, the others listen for the answer.

The leader ends its lease in the moment in which its answer is stored, and the answer is told to who listens. A lease
ends by itself when its process dies or stands still, so nobody listens for longer than the lease has left: then the
next takes it. Without the store nobody can coordinate, and a process goes alone. Who pays and what is computed is not
known here.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.core.metrics import COALESCED, LEASE_WAIT, STORE_ERRORS
from gateway.core.nouns import Answer
from gateway.ports import CacheStore, Clock, Meter, Promise, StoreUnavailable, Tasks

T = TypeVar("T")
Check = Callable[[str, bytes], Awaitable[Answer | None]]
Fits = Callable[[Answer], bool]

# How often to claim where nothing can be heard, though the store answers.
DEAF_S = 0.25
# A lease is told in whole milliseconds; without this its last one would be spent on asking.
LEAST_WAIT_S = 0.001


class Fleet:
    """The leases of one worker."""

    def __init__(
        self, cache: CacheStore, clock: Clock, tasks: Tasks, meter: Meter, check: Check, lease_s: float
    ) -> None:
        self._cache, self._clock, self._tasks, self._meter = cache, clock, tasks, meter
        self._check, self._lease_s = check, lease_s

    async def enter(self, address: str, owner: str, fits: Fits, patience_s: float) -> tuple[Answer | None, bool]:
        """Another process's answer, if it fits, or None once we may compute; and whether the lease is ours."""
        began = self._clock.monotonic()
        ear = Ear(self._cache, self._clock, self._tasks, self._meter, address)
        answer, leased = None, False
        try:
            answer, leased = await self._wait(address, owner, fits, ear, began + patience_s)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "claim")
        finally:
            ear.close()
        if answer is not None:
            self._meter.count(COALESCED, "fleet")
        if ear.was_used:
            result = "followed" if answer is not None else "led" if leased else "gave_up"
            self._meter.observe(LEASE_WAIT, self._clock.monotonic() - began, result)
        return answer, leased

    async def _wait(
        self, address: str, owner: str, fits: Fits, ear: "Ear", deadline: float
    ) -> tuple[Answer | None, bool]:
        refused: bytes | None = None
        while (asked := self._clock.monotonic()) < deadline:
            claim = await self._cache.claim(address, owner, self._lease_s, refused)
            now = self._clock.monotonic()
            # A process that stood still since it asked may have lost already what it got.
            if claim.ours and now - asked < self._lease_s:
                return None, True
            blob = claim.entry
            if blob is None and not claim.ours and await ear.is_open():
                blob = await ear.hear(min(claim.left_s, deadline - now))
            if blob:
                answer = await self._check(address, blob)
                if answer is not None and fits(answer):
                    return answer, False
                refused = blob
        return None, False

    async def hold(self, address: str, owner: str, flight: Promise[T]) -> T | None:
        """Keep the lease while the flight is under way. How it landed, or None if the lease was lost before."""
        while True:
            try:
                return await self._tasks.within(self._lease_s / 3, flight.wait())
            except TimeoutError:
                pass
            try:
                if not await self._cache.renew(address, owner, self._lease_s):
                    return None
            except StoreUnavailable:
                self._meter.count(STORE_ERRORS, "cache", "lease")

    async def let_go(self, address: str, owner: str) -> None:
        """End the lease of a flight that has left no answer, so that the next can take it at once."""
        try:
            await self._cache.release(address, owner)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "lease")


class Ear:
    """One wait's listening: begun only when somebody else leads, begun anew after each message or loss."""

    def __init__(self, cache: CacheStore, clock: Clock, tasks: Tasks, meter: Meter, address: str) -> None:
        self.was_used = False
        self._cache, self._clock, self._tasks, self._meter = cache, clock, tasks, meter
        self._address = address
        self._news: Promise[bytes] | None = None

    async def is_open(self) -> bool:
        """Whether it had been listening before the last claim, so that nothing can have been missed since."""
        self.was_used = True
        if self._news is not None and not self._news.done():
            return True
        before = self._news
        try:
            self._news = await self._cache.listen(self._address)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "listen")
            self._news = None
        if before is not None:
            self._cache.stop_listening(self._address, before)
        return self._news is None

    async def hear(self, seconds: float) -> bytes | None:
        """What is told within this time, if anything is."""
        seconds = max(LEAST_WAIT_S, seconds)
        if self._news is None:
            await self._clock.sleep(min(DEAF_S, seconds))
            return None
        try:
            return await self._tasks.within(seconds, self._news.wait())
        except TimeoutError:
            return None

    def close(self) -> None:
        if self._news is not None:
            self._cache.stop_listening(self._address, self._news)
