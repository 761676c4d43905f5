"""Single-flight across processes: the holder of the lease computes, the others subscribe to its answer.

Storing the answer ends the leader's lease and publishes the answer in one operation; ending it without one publishes
the upstream's failure, if that is what came. A lease expires by itself when
its process dies or hangs, and nobody waits longer than the lease has left: then the next process takes it. Without
the cache store nobody can coordinate, and a process computes alone. Who pays and what is computed is not known here.
"""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.core.metrics import COLLAPSED, LEASE_WAIT, STORE_ERRORS
from gateway.core.types import Answer
from gateway.flow.flight_result import FAILURE, LANDING_S, FailureMessages, FlightResult
from gateway.flow.runtime import Runtime
from gateway.ports import CacheStore, StoreUnavailable

Check = Callable[[str, bytes], Awaitable[Answer | None]]
Fits = Callable[[Answer], bool]

# How often to claim where subscribing fails although the store answers.
UNSUBSCRIBED_POLL_S = 0.25
# A lease is told in whole milliseconds; without this minimum its last one would be spent on claiming.
MIN_WAIT_S = 0.001


class DistributedFlight:
    """The leases of one worker. `check` opens a stored entry, or answers None for a bad one."""

    def __init__(
        self, cache: CacheStore, runtime: Runtime, check: Check, failures: FailureMessages, lease_s: float
    ) -> None:
        self._cache, self._runtime, self._check, self._lease_s = cache, runtime, check, lease_s
        self._failures = failures
        self._clock, self._meter = runtime.clock, runtime.meter

    async def enter(self, cache_key: str, owner: str, fits: Fits, deadline: float) -> tuple[FlightResult | None, bool]:
        """What another process's flight ended with, or None once we may compute; and whether the lease is ours.

        Nobody waits beyond the time in which an answer can come that was sent for by the `deadline` (monotonic).
        """
        began = self._clock.monotonic()
        subscription = Subscription(self._cache, self._runtime, cache_key)
        found, leased = None, False
        try:
            found, leased = await self._wait(cache_key, owner, fits, subscription, deadline)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "claim")
        finally:
            subscription.close()
        if found is not None and found.answer is not None:
            self._meter.count(COLLAPSED, "distributed")
        if subscription.was_used:
            result = "followed" if found is not None else "led" if leased else "gave_up"
            self._meter.observe(LEASE_WAIT, self._clock.monotonic() - began, result)
        return found, leased

    async def _wait(
        self, cache_key: str, owner: str, fits: Fits, subscription: "Subscription", deadline: float
    ) -> tuple[FlightResult | None, bool]:
        refused: bytes | None = None
        since, until = self._clock.now(), deadline + LANDING_S
        while (asked := self._clock.monotonic()) < until:
            claim = await self._cache.claim(cache_key, owner, self._lease_s, refused)
            now = self._clock.monotonic()
            # A process that hung since it asked may have lost already what it got.
            if claim.acquired and now - asked < self._lease_s:
                return None, True
            blob = claim.entry
            if blob is None and not claim.acquired and await subscription.ensure_open():
                blob = await subscription.next_message(min(claim.expires_in_s, until - now))
            if blob and blob.startswith(FAILURE):
                failure = self._failures.open(cache_key, blob, since)
                if failure is not None and failure.concerns(deadline - self._clock.monotonic()):
                    return failure, False
            elif blob:
                answer = await self._check(cache_key, blob)
                if answer is not None and fits(answer):
                    return FlightResult(answer, stored=True), False
                refused = blob
        return None, False

    async def hold(self, cache_key: str, owner: str, flight: "asyncio.Future[FlightResult]") -> FlightResult | None:
        """Renew the lease until the flight has landed. Returns its result, or None if the lease was lost before."""
        while True:
            try:
                async with asyncio.timeout(self._lease_s / 3):
                    return await asyncio.shield(flight)
            except TimeoutError:
                pass
            try:
                if not await self._cache.renew(cache_key, owner, self._lease_s):
                    return None
            except StoreUnavailable:
                self._meter.count(STORE_ERRORS, "cache", "lease")

    async def release(self, cache_key: str, owner: str, result: FlightResult) -> None:
        """End the lease of a flight that left no answer: others share its failure, or take the lease at once."""
        try:
            await self._cache.release(cache_key, owner, self._failures.seal(cache_key, result))
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "lease")


class Subscription:
    """One waiter's subscription: opened only when another process leads, and again after each message or loss."""

    def __init__(self, cache: CacheStore, runtime: Runtime, cache_key: str) -> None:
        self.was_used = False
        self._cache, self._clock, self._meter = cache, runtime.clock, runtime.meter
        self._cache_key = cache_key
        self._message: asyncio.Future[bytes] | None = None

    async def ensure_open(self) -> bool:
        """Whether it was open before the last claim already, so that no message can have been missed since."""
        self.was_used = True
        if self._message is not None and not self._message.done():
            return True
        before = self._message
        try:
            self._message = await self._cache.subscribe(self._cache_key)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "subscribe")
            self._message = None
        if before is not None:
            self._cache.unsubscribe(self._cache_key, before)
        return self._message is None

    async def next_message(self, seconds: float) -> bytes | None:
        """The message that arrives within this time, if one does."""
        seconds = max(MIN_WAIT_S, seconds)
        if self._message is None:
            await self._clock.sleep(min(UNSUBSCRIBED_POLL_S, seconds))
            return None
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._message)
        except TimeoutError:
            return None

    def close(self) -> None:
        if self._message is not None:
            self._cache.unsubscribe(self._cache_key, self._message)
