"""Reading and writing what is kept: process memory first, then the store; a lost cache is a miss, never an error.

A broken, forged or swapped entry is a miss and is counted. Where rules let two spellings share an entry, a frame is
kept, and every caller's own inputs are put around it here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from gateway.core import echo_template, entry_codec, namespace_entry, receipts
from gateway.core.cache_directives import NO_DIRECTIVES
from gateway.core.cache_plan import CachePlan
from gateway.core.metrics import CACHE_BAD_ENTRIES, STORE_ERRORS
from gateway.core.problems import STATE_UNAVAILABLE, Problem
from gateway.core.receipts import Receipt
from gateway.core.types import Answer, Call
from gateway.flow.local_cache import LocalCache
from gateway.ports import CacheStore, Clock, Meter, NamespaceStore, NotStored, StoreUnavailable

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class SealingKeys:
    """Each derived for its purpose: sealing entries, sealing records of namespaces, minting receipts."""

    entries: bytes
    records: bytes
    receipts: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """What a computation came to: what may be shared, whether it stands in a store, and for whom alone it is.

    `only_for` is a canonical digest: the upstream echoed something unexpected, so other spellings may not have it.
    """

    answer: Answer
    stored: bool
    only_for: bytes | None = None


class AnswerCache:
    """What is kept, as one worker sees it."""

    def __init__(
        self,
        cache: CacheStore,
        namespace_store: NamespaceStore,
        memory: LocalCache,
        clock: Clock,
        meter: Meter,
        keys: SealingKeys,
        max_bytes: int,
    ) -> None:
        self._cache, self._namespace_store, self._memory = cache, namespace_store, memory
        self._clock, self._meter, self._keys, self._max_bytes = clock, meter, keys, max_bytes

    def get_local(self, plan: CachePlan, call: Call) -> Answer | None:
        """The answer from process memory, if it serves; ready to be delivered."""
        # The way of every repeat, so without the calls that say the same in fewer words (`readable`, `satisfies`).
        if plan.cache_key is None or not plan.store_reachable or plan.directives.no_cache:
            return None
        found = self._memory.answer(plan.cache_key, call)
        if found is None:
            return None
        answer, fresh_until = found
        now = self._clock.now()
        if now >= fresh_until or not plan.stale_before < answer.created > plan.purged_before:
            return None
        return answer if plan.directives is NO_DIRECTIVES or plan.satisfies(answer, now) else None

    async def read(self, plan: CachePlan, call: Call) -> Answer | None:
        """The answer from the store, checked to be ours and for this very call; it may be stale."""
        if plan.cache_key is None or not plan.readable:
            return None
        if plan.namespace is not None:
            return await self._from_record(plan, call, plan.namespace, plan.cache_key)
        forgotten = self._memory.forgotten
        try:
            blob = await self._cache.get(plan.cache_key)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "get")
            return None
        answer = None if blob is None else await self.checked(plan.cache_key, blob)
        if answer is None or answer.created <= plan.purged_before:
            return None
        return self.present(plan, call, answer, remember=forgotten == self._memory.forgotten)

    async def _from_record(self, plan: CachePlan, call: Call, name: str, cache_key: str) -> Answer | None:
        forgotten = self._memory.forgotten
        try:
            blob = await self._namespace_store.get(name, cache_key)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "namespace")
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        entry = None if blob is None else self._opened(name, cache_key, blob)
        if entry is None:
            return None
        return self.present(plan, call, entry.answer, remember=forgotten == self._memory.forgotten)

    def _opened(self, name: str, cache_key: str, blob: bytes) -> namespace_entry.NamespaceEntry | None:
        entry = namespace_entry.decode(self._keys.records, f"{name} {cache_key}", blob)
        if entry is None:
            self._meter.count(CACHE_BAD_ENTRIES)
        return entry

    async def keep(self, plan: CachePlan, call: Call, answer: Answer, owner: str | None = None) -> Stored:
        """Store; answers what stands now (the first answer, where that is kept) and what others may have of it.

        With the `owner` of a lease, that ends as the answer is stored.
        """
        if plan.cache_key is None or not plan.store_reachable or len(answer.body) > self._max_bytes:
            return Stored(answer, False, call.canonical_digest if call.template_track else None)
        if plan.namespace is not None:
            return await self._record(plan, call, answer, plan.namespace, plan.cache_key)
        shared = _framed(call, answer)
        if shared is None:
            return Stored(answer, False, call.canonical_digest)
        blob = entry_codec.encode(self._keys.entries, plan.cache_key, shared, self._clock.token(NONCE_BYTES))
        ttl_s = plan.ttl_s + plan.stale_if_error_s
        try:
            first = await self._cache.put(plan.cache_key, blob, ttl_s, plan.first_write_wins, owner)
            standing = None if first is None else await self.checked(plan.cache_key, first)
            if first is not None and (standing is None or not plan.satisfies(standing, self._clock.now())):
                # Whoever has lost his lease meanwhile replaces nothing: his successor will.
                standing, first = None, await self._cache.put(plan.cache_key, blob, ttl_s, False, owner)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "put")
            return Stored(shared, False)
        return Stored(standing or shared, standing is not None or first is None)

    async def _record(self, plan: CachePlan, call: Call, answer: Answer, name: str, cache_key: str) -> Stored:
        if plan.directives.no_cache:
            return Stored(answer, False)
        answer = entry_codec.compress(answer)
        entry = namespace_entry.NamespaceEntry.of(call, plan.directives, answer)
        blob = namespace_entry.encode(self._keys.records, f"{name} {cache_key}", entry, self._clock.token(NONCE_BYTES))
        try:
            first = await self._namespace_store.put(name, cache_key, blob)
            standing = None if first is None else self._opened(name, cache_key, first)
            if first is not None and standing is None and await self._namespace_store.remove(name, cache_key):
                first = await self._namespace_store.put(name, cache_key, blob)  # what cannot be read is no record
        except NotStored:
            return Stored(answer, False)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "namespace")
            return Stored(answer, False)
        if standing is not None:
            return Stored(standing.answer, True)
        return Stored(answer, first is None)

    def present(self, plan: CachePlan, call: Call, answer: Answer, *, remember: bool = True) -> Answer:
        """The answer as this caller gets it: inputs around it, with its tag and its receipt; remembered if kept."""
        known = self._memory.answer(plan.cache_key, call) if plan.cache_key is not None and remember else None
        if (
            known is not None
            and known[0].created == answer.created
            and (answer.is_template or known[0].body == answer.body)
        ):
            return known[0]
        if answer.is_template:
            answer = replace(answer, body=echo_template.fill(call, answer.body), compressed=None, is_template=False)
        if not answer.etag:
            answer = self._certified(call, answer)
        if plan.cache_key is not None and remember:
            self._memory.put_answer(plan.cache_key, call, answer, plan.fresh_until(answer))
        return answer

    def _certified(self, call: Call, answer: Answer) -> Answer:
        digest = sha256(answer.body).digest()
        receipt = Receipt(call.model, call.canonical_digest, answer.cls, answer.created, answer.upstream, digest)
        return replace(answer, etag=digest.hex()[:32], receipt=receipts.encode(self._keys.receipts, receipt))

    async def forget(self, plan: CachePlan, call: Call) -> None:
        """Take an entry out that turned out to be wrong; other workers' memory of it ends with their next look."""
        if plan.cache_key is not None:
            self._memory.drop_answer(plan.cache_key, call)
            await self._delete(plan.cache_key)

    async def checked(self, cache_key: str, blob: bytes) -> Answer | None:
        """The answer in a stored entry, or None for one that is not ours; that one is taken out of the way."""
        answer = entry_codec.decode(self._keys.entries, cache_key, blob, self._max_bytes)
        if answer is None:
            self._meter.count(CACHE_BAD_ENTRIES)
            await self._delete(cache_key)
        return answer

    async def _delete(self, cache_key: str) -> None:
        try:
            await self._cache.delete(cache_key)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "delete")

    def receipt(self, identifier: str) -> Mapping[str, object] | None:
        """What a receipt says, or None for one that this gateway did not make."""
        receipt = receipts.decode(self._keys.receipts, identifier)
        return None if receipt is None else receipt.document()


def _framed(call: Call, answer: Answer) -> Answer | None:
    """What callers with another spelling may share, or None where the upstream's echo is not what was sent."""
    if call.template_track is None:
        return entry_codec.compress(answer)
    frame = echo_template.strip_echo(call, answer.body)
    return None if frame is None else entry_codec.compress(replace(answer, body=frame, is_template=True))
