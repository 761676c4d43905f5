"""Once a second: has a key been changed, has the cache been purged? Memory layers follow within that second.

What memory holds of the cache is good only while the purge epoch is known to be current: without the store's word
for two seconds, the cache has no part in any call.
"""

from gateway.core.metrics import STORE_ERRORS
from gateway.flow.keyring import Keyring
from gateway.flow.memory import Memory
from gateway.ports import CacheStore, Clock, Directory, Meter, StoreUnavailable

EVERY_S = 1.0
GOOD_FOR_S = 2.0


class Watch:
    """Keeps the keyring and the memory of answers true to the stores."""

    def __init__(
        self, directory: Directory, cache: CacheStore, keyring: Keyring, memory: Memory, clock: Clock, meter: Meter
    ) -> None:
        self._directory, self._cache = directory, cache
        self._keyring, self._memory = keyring, memory
        self._clock, self._meter = clock, meter
        self._keys_epoch: int | None = None
        self._cache_epoch: int | None = None
        self._confirmed = float("-inf")

    def cache_epoch(self) -> int | None:
        """The purge epoch that cache keys are made with, or None while it is not known to be current."""
        fresh = self._clock.monotonic() - self._confirmed <= GOOD_FOR_S
        return self._cache_epoch if fresh else None

    async def look(self) -> None:
        """One look at both stores; a lost one changes nothing but is counted."""
        await self._look_at_keys()
        await self._look_at_cache()

    async def _look_at_keys(self) -> None:
        try:
            epoch = await self._directory.epoch()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "epoch")
            return
        if epoch != self._keys_epoch:
            self._keys_epoch = epoch
            self._keyring.forget()

    async def _look_at_cache(self) -> None:
        asked = self._clock.monotonic()
        try:
            epoch = await self._cache.epoch()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "epoch")
            self._confirmed = float("-inf")
            return
        if epoch != self._cache_epoch:
            self._cache_epoch = epoch
            self._memory.forget_answers()
        self._confirmed = asked

    async def forever(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(EVERY_S)
