"""Reading and writing the cache: process memory first, then the store; a lost store is a miss, never an error.

A broken, forged or swapped entry is a miss and is counted.
"""

from gateway.core import entries
from gateway.core.caching import Plan
from gateway.core.metrics import CACHE_BAD_ENTRIES, STORE_ERRORS
from gateway.core.nouns import Answer
from gateway.flow.memory import Memory
from gateway.ports import CacheStore, Clock, Meter, StoreUnavailable

NONCE_BYTES = 12


class Recall:
    """The cache as one worker sees it."""

    def __init__(
        self, cache: CacheStore, memory: Memory, clock: Clock, meter: Meter, key: bytes, max_bytes: int
    ) -> None:
        self._cache, self._memory = cache, memory
        self._clock, self._meter, self._key, self._max_bytes = clock, meter, key, max_bytes

    def at_hand(self, plan: Plan) -> Answer | None:
        """The answer from process memory."""
        if plan.address is None or not plan.readable:
            return None
        return self._memory.answer(plan.address, self._clock.now())

    async def read(self, plan: Plan) -> Answer | None:
        """The answer from the store, checked to be ours and for this very call."""
        if plan.address is None or not plan.readable:
            return None
        try:
            blob = await self._cache.get(plan.address)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "get")
            return None
        answer = None if blob is None else await self.checked(plan.address, blob)
        if answer is not None:
            self._memory.keep_answer(plan.address, answer, answer.created + plan.ttl_s)
        return answer

    async def keep(self, plan: Plan, answer: Answer) -> tuple[Answer, bool]:
        """Store; answers what stands in the cache now (for `pinned` calls the first answer) and whether it stands."""
        if plan.address is None or not plan.in_sight or len(answer.body) > self._max_bytes:
            return answer, False
        blob = entries.close(self._key, plan.address, answer, self._clock.token(NONCE_BYTES))
        try:
            first = await self._cache.put(plan.address, blob, plan.ttl_s, plan.keep_first)
            standing = None if first is None else await self.checked(plan.address, first)
            if first is not None and standing is None:
                await self._cache.put(plan.address, blob, plan.ttl_s, False)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "put")
            return answer, False
        standing = standing or answer
        self._memory.keep_answer(plan.address, standing, standing.created + plan.ttl_s)
        return standing, True

    async def checked(self, address: str, blob: bytes) -> Answer | None:
        """The answer in a stored entry, or None for one that is not ours; that one is taken out of the way."""
        answer = entries.open_entry(self._key, address, blob)
        if answer is None:
            self._meter.count(CACHE_BAD_ENTRIES)
            try:
                await self._cache.delete(address)
            except StoreUnavailable:
                self._meter.count(STORE_ERRORS, "cache", "delete")
        return answer
