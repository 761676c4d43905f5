"""The shared cache: sealed answers in the cache store. A lost store is a miss, never an error.

A broken, forged or swapped entry is a miss, is counted, and is deleted.
"""

from gateway.core import echo_template, entry_codec
from gateway.core.cache_plan import CachePlan
from gateway.core.metrics import CACHE_BAD_ENTRIES, STORE_ERRORS
from gateway.core.types import Answer, Call
from gateway.flow.beside import beside
from gateway.flow.runtime import Runtime
from gateway.flow.sealed_entries import sealed, unsealed
from gateway.flow.stored import NONCE_BYTES, Stored
from gateway.ports import CacheStore, StoreUnavailable


class SharedCache:
    """`AnswerStore` on the cache store; `key` seals entries."""

    def __init__(self, store: CacheStore, key: bytes, max_bytes: int, runtime: Runtime) -> None:
        self._store, self._key, self._max_bytes = store, key, max_bytes
        self._clock, self._meter = runtime.clock, runtime.meter

    async def get(self, plan: CachePlan, call: Call) -> Answer | None:
        assert plan.cache_key is not None
        try:
            blob = await self._store.get(plan.cache_key)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "get")
            return None
        answer = None if blob is None else await self.open(plan.cache_key, blob)
        return None if answer is None or answer.created <= plan.purged_before else answer

    async def put(self, plan: CachePlan, call: Call, answer: Answer, owner: str | None) -> Stored:
        cache_key = plan.cache_key
        assert cache_key is not None
        shared = echo_template.shareable(call, answer)
        if shared.only_for:
            return Stored(shared, stored=False)
        shared = await beside(len(shared.body), entry_codec.compress, shared)
        parts, nonce = entry_codec.to_parts(shared), self._clock.token(NONCE_BYTES)
        blob = await sealed(self._key, cache_key, parts, nonce)
        ttl_s = plan.ttl_s + plan.stale_if_error_s
        try:
            first = await self._store.put(cache_key, blob, ttl_s, True, owner)
            existing = None if first is None else await self.open(cache_key, first)
            if first is not None and (existing is None or not self._stands(plan, existing, shared)):
                # An owner who has lost the lease meanwhile replaces nothing: the next owner will.
                existing, first = None, await self._store.put(cache_key, blob, ttl_s, False, owner)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "put")
            return Stored(shared, stored=False)
        earlier = existing is not None
        return Stored(existing or shared, stored=earlier or first is None, earlier=earlier)

    def _stands(self, plan: CachePlan, existing: Answer, answer: Answer) -> bool:
        """Whether what is there stays: an answer that was asked for later, say by a refresh, is not replaced either."""
        if existing.created > answer.created:
            return True
        return plan.first_write_wins and plan.satisfies(existing, self._clock.now())

    async def open(self, cache_key: str, blob: bytes) -> Answer | None:
        """The answer in a stored entry, or None for one that is not ours; that one is deleted."""
        pieces, answer = await unsealed(self._key, cache_key, blob), None
        if pieces is not None:
            size = min(entry_codec.size_of_pieces(pieces), self._max_bytes)
            answer = await beside(size, entry_codec.from_pieces, pieces, self._max_bytes)
        if answer is None:
            self._meter.count(CACHE_BAD_ENTRIES)
            await self.delete(cache_key)
        return answer

    async def delete(self, cache_key: str) -> None:
        try:
            await self._store.delete(cache_key)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "delete")
