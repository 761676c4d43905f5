"""Cache look-up: this process first, then the store that the plan names; and what is recorded of a hit."""

from gateway.core.cache_directives import NO_DIRECTIVES
from gateway.core.cache_plan import CachePlan, Forwarded
from gateway.core.metrics import CACHE, UNITS
from gateway.core.types import Answer, Call
from gateway.flow.answer_stores import AnswerStores
from gateway.flow.cache_stats import CacheStats
from gateway.flow.local_cache import LocalCache
from gateway.flow.render import Renderer
from gateway.flow.runtime import Runtime
from gateway.flow.spot_check import SpotChecker


class Lookup:
    """Finds answers, rendered for the caller."""

    def __init__(
        self,
        stores: AnswerStores,
        local_cache: LocalCache,
        renderer: Renderer,
        stats: CacheStats,
        spot_checker: SpotChecker,
        runtime: Runtime,
    ) -> None:
        self._stores, self._local_cache, self._renderer = stores, local_cache, renderer
        self._stats, self._spot_checker = stats, spot_checker
        self._clock, self._meter = runtime.clock, runtime.meter

    def local(self, plan: CachePlan, call: Call) -> Answer | None:
        """The answer from this process, if it satisfies the request."""
        # The way of every repeat, so without the calls that say the same in fewer words (`readable`, `satisfies`).
        if plan.cache_key is None or not plan.store_reachable or plan.directives.no_cache:
            return None
        found = self._local_cache.answer(plan.cache_key, call)
        if found is None:
            return None
        answer, fresh_until = found
        now = self._clock.now()
        if now >= fresh_until or not plan.stale_before < answer.created > plan.purged_before:
            return None
        return answer if plan.directives is NO_DIRECTIVES or plan.satisfies(answer, now) else None

    async def stored(self, plan: CachePlan, call: Call) -> Answer | None:
        """The answer from the store; it may be stale."""
        since = self.moment()
        answer = await self._stores.get(plan, call)
        if answer is None:
            return None
        return await self._renderer.render(plan, call, answer, None if answer.doubtful else since)

    def moment(self) -> int:
        """To be noted before an answer is computed."""
        return self._local_cache.moment()

    async def render(self, plan: CachePlan, call: Call, answer: Answer, since: int | None) -> Answer:
        """A computed answer for this caller; one that is stored is put into the local cache, with the moment before."""
        return await self._renderer.render(plan, call, answer, since)

    def satisfies(self, plan: CachePlan, answer: Answer) -> bool:
        """Whether this answer may be used without the upstream."""
        return plan.satisfies(answer, self._clock.now())

    def usable_if_error(self, plan: CachePlan, answer: Answer) -> bool:
        """Whether this stale answer may be used while the upstream fails (RFC 5861 section 4)."""
        return plan.usable_if_error(answer, self._clock.now())

    def why_forwarded(self, plan: CachePlan, found: Answer | None) -> Forwarded:
        """Why an answer is computed where this was found."""
        return plan.why_forwarded(found, self._clock.now())

    def record_hit(self, plan: CachePlan, call: Call, answer: Answer) -> None:
        """A cached answer was used without the upstream: fresh, or as stale as the request allows."""
        fresh = plan.directives is NO_DIRECTIVES or plan.freshness_left(answer, self._clock.now()) > 0
        self._meter.count(CACHE, call.endpoint, "hit" if fresh else "stale", plan.reason)
        self._meter.count(UNITS, call.endpoint, "saved", by=call.units)
        self._stats.record_hit(call, answer)
        self._spot_checker.consider(plan, call, answer)

    def record_stale(self, plan: CachePlan, call: Call, answer: Answer) -> None:
        self._meter.count(CACHE, call.endpoint, "stale", plan.reason)
        self._stats.record_hit(call, answer)
