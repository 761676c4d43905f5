"""What the cache saves and holds, counted for operators: at every hit, at every answer kept, and at the cache server.

Cheap at a hit: two counters and one histogram. The server's own numbers are asked for every fifteen seconds.
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
from gateway.ports import CacheStore, Clock, Meter, StoreUnavailable

EVERY_S = 15.0
KEYS = (("stored", "entries"), ("evicted", "evicted"), ("expired", "expired"))
"""What a row of the gauge says, and the server's word for it."""


class CacheStats:
    """The cache as one worker sees it."""

    def __init__(self, cache: CacheStore, clock: Clock, meter: Meter) -> None:
        self._cache, self._clock, self._meter = cache, clock, meter

    def hit(self, call: Call, answer: Answer) -> None:
        """An answer from before was good enough, fresh or stale."""
        meter = self._meter
        meter.count(CACHE_BYTES, "served", by=len(answer.body))
        meter.count(SECONDS_SAVED, call.endpoint, by=answer.compute_s)
        meter.observe(CACHE_AGE, max(0.0, self._clock.now() - answer.created), answer.cls)

    def kept(self, answer: Answer, *, stored: bool) -> None:
        """An answer was to be kept. It counts as it is in the store: a frame is smaller than what callers get."""
        self._meter.count(CACHE_WRITES, "stored" if stored else "not_stored")
        if stored:
            self._meter.count(CACHE_BYTES, "stored", by=len(answer.body))
            self._meter.count(CACHE_BYTES, "compressed", by=len(answer.compressed or answer.body))

    async def poll(self) -> None:
        """Ask the cache server how it is; of a lost one nothing is known, so nothing is shown."""
        try:
            stats = await self._cache.stats()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "stats")
            stats = {}
        for what, word in KEYS:
            self._meter.gauge(CACHE_STORE_KEYS, stats.get(word, nan), what)
        self._meter.gauge(CACHE_STORE_BYTES, stats.get("bytes", nan))

    async def forever(self) -> None:
        while True:
            await self.poll()
            await self._clock.sleep(EVERY_S)
