"""Where answers are stored: one seam, two implementations.

`shared_cache.py` is the cache that everybody shares, `namespace_answers.py` are the entries of named namespaces. The
plan says which of them a call uses.
"""

from dataclasses import replace
from typing import Protocol

from gateway.core.cache_plan import CachePlan
from gateway.core.echo_template import for_call, shareable
from gateway.core.problems import ANSWER_UNSAFE, READER_UNAVAILABLE, Problem
from gateway.core.types import Answer, Call
from gateway.flow.answer_check import AnswerCheck, Source
from gateway.flow.shared_cache import SharedCache
from gateway.flow.stored import Stored


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
    """Both stores, with what holds for each: nothing is read or stored against the plan, above `max_bytes`, or that is
    no fit answer.

    What the upstream forbids to store (`no_store`) is not shared; a namespace records it, as a file on disk would.
    """

    def __init__(self, cache: SharedCache, namespaces: AnswerStore, answers: AnswerCheck, max_bytes: int) -> None:
        self._cache, self._namespaces, self._answers, self._max_bytes = cache, namespaces, answers, max_bytes

    async def get(self, plan: CachePlan, call: Call) -> Answer | None:
        found = await self._store(plan).get(plan, call) if plan.readable else None
        return None if found is None else await self.judged(plan, call, found)

    async def put(self, plan: CachePlan, call: Call, answer: Answer, owner: str | None = None) -> Stored:
        kept = plan.storable and not answer.doubtful and not (answer.no_store and plan.namespace is None)
        if not kept or len(answer.body) > self._max_bytes:
            return Stored(shareable(call, answer), stored=False)
        result = await self._store(plan).put(plan, call, answer, owner)
        if not result.earlier:
            return result
        earlier = await self.judged(plan, call, result.answer)
        return Stored(shareable(call, answer), stored=False) if earlier is None else replace(result, answer=earlier)

    async def judged(self, plan: CachePlan, call: Call, found: Answer) -> Answer | None:
        """A stored answer as it may be passed on. The cache loses what is not fit, and None is said of it; a record
        stays, since it may be in a paper: a doubtful one is passed on, an unsafe one refused."""
        answer = for_call(call, found)
        recorded = plan.namespace is not None
        try:
            source: Source = "namespace" if recorded else "cache"
            judgement = await self._answers.judge(call, answer.body, source, warn=not plan.frozen)
        except Problem:
            if recorded:
                raise Problem(READER_UNAVAILABLE, headers={"Retry-After": "2"}) from None
            return None
        if recorded and not judgement.passes:
            raise Problem(ANSWER_UNSAFE, "It is in the namespace; an administrator can purge it there.")
        if not recorded and judgement.verdict != "fit":
            assert plan.cache_key is not None
            await self._cache.delete(plan.cache_key)
            return None
        return judgement.applied(answer)

    def _store(self, plan: CachePlan) -> AnswerStore:
        return self._cache if plan.namespace is None else self._namespaces
