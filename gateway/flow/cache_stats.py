"""Cache statistics for operators: at every hit, at every answer stored, and from the cache server.

Cheap at a hit: two counters and one histogram. The server's own numbers are polled every fifteen seconds.
"""

from math import nan

from gateway.core.metrics import (
    CACHE_AGE,
    CACHE_BYTES,
    CACHE_STORE_BYTES,
    CACHE_STORE_KEYS,
    CACHE_WRITES,
    SECONDS_SAVED,
    STORE_ERRORS,
)
from gateway.core.types import Answer, Call
from gateway.flow.runtime import Runtime
from gateway.ports import CacheStore, StoreUnavailable

INTERVAL_S = 15.0
KEYS = (("stored", "entries"), ("evicted", "evicted"), ("expired", "expired"))
"""A label of the gauge, and the server's name for that number."""


class CacheStats:
    """The cache as one worker sees it."""

    def __init__(self, cache: CacheStore, runtime: Runtime) -> None:
        self._cache, self._clock, self._meter = cache, runtime.clock, runtime.meter

    def record_hit(self, call: Call, answer: Answer) -> None:
        """A cached answer was used, fresh or stale."""
        meter = self._meter
        meter.count(CACHE_BYTES, "served", by=len(answer.body))
        meter.count(SECONDS_SAVED, call.endpoint, by=answer.compute_s)
        meter.observe(CACHE_AGE, max(0.0, self._clock.now() - answer.created), answer.cls)

    def record_write(self, answer: Answer, *, stored: bool) -> None:
        """An answer was to be stored. It counts with its size in the store: less than what a caller gets."""
        self._meter.count(CACHE_WRITES, "stored" if stored else "forbidden" if answer.no_store else "not_stored")
        if stored:
            self._meter.count(CACHE_BYTES, "stored", by=len(answer.body))
            self._meter.count(CACHE_BYTES, "compressed", by=len(answer.compressed or answer.body))

    async def poll(self) -> None:
        """Ask the cache server for its numbers; those of a lost server are unknown, so none are shown."""
        try:
            stats = await self._cache.stats()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "stats")
            stats = {}
        for label, name in KEYS:
            self._meter.gauge(CACHE_STORE_KEYS, stats.get(name, nan), label)
        self._meter.gauge(CACHE_STORE_BYTES, stats.get("bytes", nan))

    async def forever(self) -> None:
        while True:
            await self.poll()
            await self._clock.sleep(INTERVAL_S)
