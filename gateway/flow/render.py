"""A stored or computed answer as one caller gets it: their own inputs echoed, with its ETag and its receipt."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.core import echo_template, receipts
from gateway.core.cache_plan import CachePlan
from gateway.core.receipts import Receipt
from gateway.core.types import Answer, Call
from gateway.flow.beside import digest
from gateway.flow.local_cache import LocalCache


class Renderer:
    """Renders answers, once each where the local cache holds the result; `key` encrypts receipts."""

    def __init__(self, local_cache: LocalCache, key: bytes) -> None:
        self._local_cache, self._key = local_cache, key

    async def render(self, plan: CachePlan, call: Call, answer: Answer, since: int | None) -> Answer:
        """The answer for this call's caller. With `since` it is put into the local cache (LocalCache.put_answer)."""
        remember = plan.cache_key is not None and since is not None
        known = self._local_cache.answer(plan.cache_key, call) if plan.cache_key is not None and remember else None
        answer = echo_template.for_call(call, answer)
        if known is not None and known[0].created == answer.created and known[0].body == answer.body:
            return known[0]
        if not answer.etag:
            answer = await self._certified(call, answer)
        if plan.cache_key is not None and since is not None:
            self._local_cache.put_answer(plan.cache_key, call, answer, plan.fresh_until(answer), since)
        return answer

    def receipt(self, identifier: str) -> Mapping[str, object] | None:
        """What a receipt says, or None for one that this gateway did not make."""
        receipt = receipts.decode(self._key, identifier)
        return None if receipt is None else receipt.document()

    def told(self, identifier: str) -> Mapping[str, object] | None:
        """The same with its short form, its origin and a citation."""
        receipt = receipts.decode(self._key, identifier)
        return None if receipt is None else receipts.told(receipt, identifier)

    async def _certified(self, call: Call, answer: Answer) -> Answer:
        sha256 = await digest(answer.body)
        told = call.model, call.canonical_digest, answer.cls, answer.created, answer.upstream, sha256
        receipt = Receipt(*told, answer.imported)
        return replace(answer, etag=sha256.hex()[:32], receipt=receipts.encode(self._key, receipt))
