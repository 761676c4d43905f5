"""One computation for equal calls across processes: whoever holds the lease computes, the others listen for the answer.

The leader ends its lease in the moment in which its answer is stored, and the answer is told to who listens. A lease
ends by itself when its process dies or stands still, so nobody listens for longer than the lease has left: then the
next takes it. Without the store nobody can coordinate, and a process goes alone. Who pays and what is computed is not
known here.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.core.metrics import COLLAPSED, LEASE_WAIT, STORE_ERRORS
from gateway.core.types import Answer
from gateway.ports import CacheStore, Clock, Meter, Promise, StoreUnavailable, Tasks

T = TypeVar("T")
Check = Callable[[str, bytes], Awaitable[Answer | None]]
Fits = Callable[[Answer], bool]

# How often to claim where nothing can be heard, though the store answers.
UNSUBSCRIBED_POLL_S = 0.25
# A lease is told in whole milliseconds; without this its last one would be spent on asking.
LEAST_WAIT_S = 0.001


class DistributedFlight:
    """The leases of one worker."""

    def __init__(
        self, cache: CacheStore, clock: Clock, tasks: Tasks, meter: Meter, check: Check, lease_s: float
    ) -> None:
        self._cache, self._clock, self._tasks, self._meter = cache, clock, tasks, meter
        self._check, self._lease_s = check, lease_s

    async def enter(self, cache_key: str, owner: str, fits: Fits, patience_s: float) -> tuple[Answer | None, bool]:
        """Another process's answer, if it fits, or None once we may compute; and whether the lease is ours."""
        began = self._clock.monotonic()
        subscription = Subscription(self._cache, self._clock, self._tasks, self._meter, cache_key)
        answer, leased = None, False
        try:
            answer, leased = await self._wait(cache_key, owner, fits, subscription, began + patience_s)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "claim")
        finally:
            subscription.close()
        if answer is not None:
            self._meter.count(COLLAPSED, "distributed")
        if subscription.was_used:
            result = "followed" if answer is not None else "led" if leased else "gave_up"
            self._meter.observe(LEASE_WAIT, self._clock.monotonic() - began, result)
        return answer, leased

    async def _wait(
        self, cache_key: str, owner: str, fits: Fits, subscription: "Subscription", deadline: float
    ) -> tuple[Answer | None, bool]:
        refused: bytes | None = None
        while (asked := self._clock.monotonic()) < deadline:
            claim = await self._cache.claim(cache_key, owner, self._lease_s, refused)
            now = self._clock.monotonic()
            # A process that stood still since it asked may have lost already what it got.
            if claim.ours and now - asked < self._lease_s:
                return None, True
            blob = claim.entry
            if blob is None and not claim.ours and await subscription.is_open():
                blob = await subscription.next_message(min(claim.left_s, deadline - now))
            if blob:
                answer = await self._check(cache_key, blob)
                if answer is not None and fits(answer):
                    return answer, False
                refused = blob
        return None, False

    async def hold(self, cache_key: str, owner: str, flight: Promise[T]) -> T | None:
        """Keep the lease while the flight is under way. How it landed, or None if the lease was lost before."""
        while True:
            try:
                return await self._tasks.within(self._lease_s / 3, flight.wait())
            except TimeoutError:
                pass
            try:
                if not await self._cache.renew(cache_key, owner, self._lease_s):
                    return None
            except StoreUnavailable:
                self._meter.count(STORE_ERRORS, "cache", "lease")

    async def let_go(self, cache_key: str, owner: str) -> None:
        """End the lease of a flight that has left no answer, so that the next can take it at once."""
        try:
            await self._cache.release(cache_key, owner)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "lease")


class Subscription:
    """One wait's listening: begun only when somebody else leads, begun anew after each message or loss."""

    def __init__(self, cache: CacheStore, clock: Clock, tasks: Tasks, meter: Meter, cache_key: str) -> None:
        self.was_used = False
        self._cache, self._clock, self._tasks, self._meter = cache, clock, tasks, meter
        self._cache_key = cache_key
        self._news: Promise[bytes] | None = None

    async def is_open(self) -> bool:
        """Whether it had been listening before the last claim, so that nothing can have been missed since."""
        self.was_used = True
        if self._news is not None and not self._news.done():
            return True
        before = self._news
        try:
            self._news = await self._cache.listen(self._cache_key)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "listen")
            self._news = None
        if before is not None:
            self._cache.stop_listening(self._cache_key, before)
        return self._news is None

    async def next_message(self, seconds: float) -> bytes | None:
        """What is told within this time, if anything is."""
        seconds = max(LEAST_WAIT_S, seconds)
        if self._news is None:
            await self._clock.sleep(min(UNSUBSCRIBED_POLL_S, seconds))
            return None
        try:
            return await self._tasks.within(seconds, self._news.wait())
        except TimeoutError:
            return None

    def close(self) -> None:
        if self._news is not None:
            self._cache.stop_listening(self._cache_key, self._news)
