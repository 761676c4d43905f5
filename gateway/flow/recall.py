"""Reading and writing what is kept: process memory first, then the store; a lost cache is a miss, never an error.

A broken, forged or swapped entry is a miss and is counted. Where rules let two spellings share an entry, a frame is
kept, and every caller's own inputs are put around it here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from gateway.core import entries, receipts, recorded, splice
from gateway.core.caching import Plan
from gateway.core.metrics import CACHE_BAD_ENTRIES, STORE_ERRORS
from gateway.core.nouns import Answer, Call
from gateway.core.problems import STATE_UNAVAILABLE, Problem
from gateway.core.receipts import Receipt
from gateway.core.wish import NO_WISH
from gateway.flow.memory import Memory
from gateway.ports import Archive, CacheStore, Clock, Meter, NotKept, StoreUnavailable

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Keys:
    """Each derived for its purpose: sealing entries, sealing records of namespaces, minting receipts."""

    entries: bytes
    records: bytes
    receipts: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What a computation came to: what may be shared, whether it stands in a store, and for whom alone it is.

    `only_for` is a canonical digest: the upstream echoed something unexpected, so other spellings may not have it.
    """

    answer: Answer
    stored: bool
    only_for: bytes | None = None


class Recall:
    """What is kept, as one worker sees it."""

    def __init__(
        self,
        cache: CacheStore,
        archive: Archive,
        memory: Memory,
        clock: Clock,
        meter: Meter,
        keys: Keys,
        max_bytes: int,
    ) -> None:
        self._cache, self._archive, self._memory = cache, archive, memory
        self._clock, self._meter, self._keys, self._max_bytes = clock, meter, keys, max_bytes

    def at_hand(self, plan: Plan, call: Call) -> Answer | None:
        """The answer from process memory, if it serves; ready to be delivered."""
        # The way of every repeat, so without the calls that say the same in fewer words (`readable`, `serves`).
        if plan.address is None or not plan.in_sight or plan.wish.no_cache:
            return None
        found = self._memory.answer(plan.address, call)
        if found is None:
            return None
        answer, fresh_until = found
        now = self._clock.now()
        if now >= fresh_until or not plan.stale_before < answer.created > plan.floor:
            return None
        return answer if plan.wish is NO_WISH or plan.serves(answer, now) else None

    async def read(self, plan: Plan, call: Call) -> Answer | None:
        """The answer from the store, checked to be ours and for this very call; it may be stale."""
        if plan.address is None or not plan.readable:
            return None
        if plan.namespace is not None:
            return await self._from_record(plan, call, plan.namespace, plan.address)
        forgotten = self._memory.forgotten
        try:
            blob = await self._cache.get(plan.address)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "get")
            return None
        answer = None if blob is None else await self.checked(plan.address, blob)
        if answer is None or answer.created <= plan.floor:
            return None
        return self.present(plan, call, answer, remember=forgotten == self._memory.forgotten)

    async def _from_record(self, plan: Plan, call: Call, name: str, address: str) -> Answer | None:
        forgotten = self._memory.forgotten
        try:
            blob = await self._archive.get(name, address)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "archive")
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        entry = None if blob is None else self._opened(name, address, blob)
        if entry is None:
            return None
        return self.present(plan, call, entry.answer, remember=forgotten == self._memory.forgotten)

    def _opened(self, name: str, address: str, blob: bytes) -> recorded.Recorded | None:
        entry = recorded.open_entry(self._keys.records, f"{name} {address}", blob)
        if entry is None:
            self._meter.count(CACHE_BAD_ENTRIES)
        return entry

    async def keep(self, plan: Plan, call: Call, answer: Answer, owner: str | None = None) -> Kept:
        """Store; answers what stands now (the first answer, where that is kept) and what others may have of it.

        With the `owner` of a lease, that ends as the answer is stored.
        """
        if plan.address is None or not plan.in_sight or len(answer.body) > self._max_bytes:
            return Kept(answer, False, call.canonical if call.spliced else None)
        if plan.namespace is not None:
            return await self._record(plan, call, answer, plan.namespace, plan.address)
        shared = _framed(call, answer)
        if shared is None:
            return Kept(answer, False, call.canonical)
        blob = entries.close(self._keys.entries, plan.address, shared, self._clock.token(NONCE_BYTES))
        ttl_s = plan.ttl_s + plan.grace_s
        try:
            first = await self._cache.put(plan.address, blob, ttl_s, plan.keep_first, owner)
            standing = None if first is None else await self.checked(plan.address, first)
            if first is not None and (standing is None or not plan.serves(standing, self._clock.now())):
                # Whoever has lost his lease meanwhile replaces nothing: his successor will.
                standing, first = None, await self._cache.put(plan.address, blob, ttl_s, False, owner)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "put")
            return Kept(shared, False)
        return Kept(standing or shared, standing is not None or first is None)

    async def _record(self, plan: Plan, call: Call, answer: Answer, name: str, address: str) -> Kept:
        if plan.wish.no_cache:
            return Kept(answer, False)
        answer = entries.pack(answer)
        entry = recorded.Recorded.of(call, plan.wish, answer)
        blob = recorded.close(self._keys.records, f"{name} {address}", entry, self._clock.token(NONCE_BYTES))
        try:
            first = await self._archive.put(name, address, blob)
            standing = None if first is None else self._opened(name, address, first)
            if first is not None and standing is None and await self._archive.remove(name, address):
                first = await self._archive.put(name, address, blob)  # what cannot be read is no record
        except NotKept:
            return Kept(answer, False)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "archive")
            return Kept(answer, False)
        if standing is not None:
            return Kept(standing.answer, True)
        return Kept(answer, first is None)

    def present(self, plan: Plan, call: Call, answer: Answer, *, remember: bool = True) -> Answer:
        """The answer as this caller gets it: inputs around it, with its tag and its receipt; remembered if kept."""
        known = self._memory.answer(plan.address, call) if plan.address is not None and remember else None
        if known is not None and known[0].created == answer.created and (answer.framed or known[0].body == answer.body):
            return known[0]
        if answer.framed:
            answer = replace(answer, body=splice.around(call, answer.body), packed=None, framed=False)
        if not answer.etag:
            answer = self._certified(call, answer)
        if plan.address is not None and remember:
            self._memory.keep_answer(plan.address, call, answer, plan.fresh_until(answer))
        return answer

    def _certified(self, call: Call, answer: Answer) -> Answer:
        digest = sha256(answer.body).digest()
        receipt = Receipt(call.model, call.canonical, answer.cls, answer.created, answer.upstream, digest)
        return replace(answer, etag=digest.hex()[:32], receipt=receipts.mint(self._keys.receipts, receipt))

    async def forget(self, plan: Plan, call: Call) -> None:
        """Take an entry out that turned out to be wrong; other workers' memory of it ends with their next look."""
        if plan.address is not None:
            self._memory.drop_answer(plan.address, call)
            await self._delete(plan.address)

    async def checked(self, address: str, blob: bytes) -> Answer | None:
        """The answer in a stored entry, or None for one that is not ours; that one is taken out of the way."""
        answer = entries.open_entry(self._keys.entries, address, blob, self._max_bytes)
        if answer is None:
            self._meter.count(CACHE_BAD_ENTRIES)
            await self._delete(address)
        return answer

    async def _delete(self, address: str) -> None:
        try:
            await self._cache.delete(address)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "delete")

    def receipt(self, identifier: str) -> Mapping[str, object] | None:
        """What a receipt says, or None for one that this gateway did not make."""
        receipt = receipts.read(self._keys.receipts, identifier)
        return None if receipt is None else receipt.document()


def _framed(call: Call, answer: Answer) -> Answer | None:
    """What callers with another spelling may share, or None where the upstream's echo is not what was sent."""
    if call.spliced is None:
        return entries.pack(answer)
    frame = splice.frame(call, answer.body)
    return None if frame is None else entries.pack(replace(answer, body=frame, framed=True))
