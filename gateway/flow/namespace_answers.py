"""Answers in named namespaces: the first answer of each call is stored for good, in the state store.

Without that store a call in a namespace is refused with 503: what it would get must not depend on an outage.
"""

from gateway.core import entry_codec, namespace_entry
from gateway.core.cache_plan import CachePlan
from gateway.core.metrics import CACHE_BAD_ENTRIES, STORE_ERRORS
from gateway.core.namespace_entry import NamespaceEntry
from gateway.core.problems import STATE_UNAVAILABLE, Problem
from gateway.core.types import Answer, Call
from gateway.flow.beside import beside
from gateway.flow.runtime import Runtime
from gateway.flow.sealed_entries import sealed, unsealed
from gateway.flow.stored import NONCE_BYTES, Stored
from gateway.ports import NamespaceStore, NotStored, StoreUnavailable


class NamespaceAnswers:
    """`AnswerStore` on the namespace store; `key` seals entries."""

    def __init__(self, store: NamespaceStore, key: bytes, runtime: Runtime) -> None:
        self._store, self._key = store, key
        self._clock, self._meter = runtime.clock, runtime.meter

    async def get(self, plan: CachePlan, call: Call) -> Answer | None:
        name, cache_key = _place(plan)
        # What was recorded for this very spelling comes first: its answer stays what it was.
        spelled = () if plan.former_key is None else (plan.former_key,)
        keys = (*spelled, cache_key, *plan.other_keys)
        try:
            blobs = await self._store.get_all(name, keys)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "namespace")
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        for key, blob in zip(keys, blobs, strict=True):
            answer = None if blob is None else await self._open(name, key, blob)
            if answer is not None:
                return answer
        return None

    async def put(self, plan: CachePlan, call: Call, answer: Answer, owner: str | None) -> Stored:
        if plan.directives.no_cache:
            return Stored(answer, stored=False)
        name, cache_key = _place(plan)
        answer = await beside(len(answer.body), entry_codec.compress, answer)
        entry = NamespaceEntry.of(call, plan.directives, answer)
        parts, nonce = namespace_entry.to_parts(entry), self._clock.token(NONCE_BYTES)
        blob = await sealed(self._key, f"{name} {cache_key}", parts, nonce)
        try:
            first = await self._store.put(name, cache_key, blob, answer.created)
            existing = None if first is None else await self._open(name, cache_key, first)
            if first is not None and existing is None and await self._store.remove(name, cache_key):
                first = await self._store.put(name, cache_key, blob)  # an entry that cannot be read is replaced
        except NotStored:
            return Stored(answer, stored=False)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "namespace")
            return Stored(answer, stored=False)
        earlier = existing is not None
        return Stored(existing or answer, stored=earlier or first is None, earlier=earlier)

    async def _open(self, name: str, cache_key: str, blob: bytes) -> Answer | None:
        pieces, entry = await unsealed(self._key, f"{name} {cache_key}", blob), None
        if pieces is not None:
            entry = await beside(namespace_entry.size_of_pieces(pieces), namespace_entry.from_pieces, pieces)
        if entry is None:
            self._meter.count(CACHE_BAD_ENTRIES)
            return None
        return entry.answer


def _place(plan: CachePlan) -> tuple[str, str]:
    assert plan.namespace is not None
    assert plan.cache_key is not None
    return plan.namespace, plan.cache_key
