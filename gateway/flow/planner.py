"""Where the answer of a call is cached, and whether it may be read or stored: one cache plan per request."""

from gateway.core import cache_plan
from gateway.core.cache_plan import CacheConfig, CachePlan
from gateway.core.problems import UNKNOWN_NAMESPACE, Problem
from gateway.core.types import Call, Principal
from gateway.endpoints import AnyEndpoint
from gateway.flow.context import RequestContext
from gateway.flow.invalidation_poller import InvalidationPoller
from gateway.flow.local_cache import LocalCache
from gateway.flow.sample_runs import SampleRuns


class Planner:
    """Plans of calls, by the settings, the purges and the namespaces as this worker knows them."""

    def __init__(
        self, poller: InvalidationPoller, local_cache: LocalCache, runs: SampleRuns, config: CacheConfig
    ) -> None:
        self.config = config
        self._poller, self._local_cache, self._runs = poller, local_cache, runs

    async def plan(
        self, endpoint: AnyEndpoint, call: Call, who: Principal, cache_control: str | None, context: RequestContext
    ) -> CachePlan:
        """The plan; raises 400 or 403 for a Cache-Control header, 404 or 409 for the namespace it names.

        With `sample=next` a number is taken from the run, and noted in the context; 503 where that is impossible.
        """
        plan = await self._planned(endpoint, call, who, cache_control)
        if not self._runs.wanted(plan, call):
            return plan
        context.drawn = await self._runs.next(plan, call, who)
        return self.explain(endpoint, call, who, cache_control, context.drawn.number)

    async def _planned(self, endpoint: AnyEndpoint, call: Call, who: Principal, cache_control: str | None) -> CachePlan:
        try:
            return self._plan(endpoint, call, who, cache_control)
        except Problem as problem:
            if problem.type is not UNKNOWN_NAMESPACE:
                raise
        await self._poller.poll_state_now()
        return self._plan(endpoint, call, who, cache_control)

    def _plan(self, endpoint: AnyEndpoint, call: Call, who: Principal, cache_control: str | None) -> CachePlan:
        purge_state, scope = self._poller.purge_state(), who.key.cache
        plain = cache_control is None and purge_state is not None and (scope is None or scope.namespace is None)
        if not plain:
            return self.explain(endpoint, call, who, cache_control)
        sharing = cache_plan.plan_scope(who, self.config)
        plan = self._local_cache.plan(call, sharing)
        if plan is None:
            plan = self.explain(endpoint, call, who, cache_control)
            self._local_cache.put_plan(call, sharing, plan)
        return plan

    def explain(
        self, endpoint: AnyEndpoint, call: Call, who: Principal, cache_control: str | None, sample: int = 1
    ) -> CachePlan:
        """The plan, made anew; the same problems. `sample` is what `sample=next` stands for; nothing is counted."""
        purge_state, namespace = self._poller.purge_state(), self._poller.namespace
        terms = self.config, purge_state, namespace, endpoint.cacheable, cache_control, sample
        return cache_plan.plan_for(call, who, *terms)
