"""Where answers are stored: one seam, two implementations.

`shared_cache.py` is the cache that everybody shares, `namespace_answers.py` are the entries of named namespaces. The
plan says which of them a call uses.
"""

from dataclasses import dataclass
from typing import Protocol

from gateway.core.cache_plan import CachePlan
from gateway.core.echo_template import shareable
from gateway.core.types import Answer, Call

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a computed answer: what equal calls may share, whether that is stored, and whether it is an
    earlier one that stands in place of the computed one."""

    answer: Answer
    stored: bool
    earlier: bool = False


class AnswerStore(Protocol):
    """Answers by cache key. Both get a plan whose cache key is set and whose store is reachable."""

    async def get(self, plan: CachePlan, call: Call) -> Answer | None:
        """The stored answer, checked to be ours and for this very key; it may be stale."""
        ...

    async def put(self, plan: CachePlan, call: Call, answer: Answer, owner: str | None) -> Stored:
        """Store; returns the answer that stands now: an earlier one, where the first write wins.

        With the `owner` of a lease, the lease ends as the answer is stored.
        """
        ...


class AnswerStores:
    """Both stores, with what holds for each: nothing is read or stored against the plan, or above `max_bytes`.

    What the upstream forbids to store (`no_store`) is not shared; a namespace records it, as a file on disk would.
    """

    def __init__(self, cache: AnswerStore, namespaces: AnswerStore, max_bytes: int) -> None:
        self._cache, self._namespaces, self._max_bytes = cache, namespaces, max_bytes

    async def get(self, plan: CachePlan, call: Call) -> Answer | None:
        return await self._store(plan).get(plan, call) if plan.readable else None

    async def put(self, plan: CachePlan, call: Call, answer: Answer, owner: str | None = None) -> Stored:
        forbidden = answer.no_store and plan.namespace is None
        if not plan.storable or forbidden or len(answer.body) > self._max_bytes:
            return Stored(shareable(call, answer), stored=False)
        return await self._store(plan).put(plan, call, answer, owner)

    def _store(self, plan: CachePlan) -> AnswerStore:
        return self._cache if plan.namespace is None else self._namespaces
