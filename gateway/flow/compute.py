"""What happens on a miss: one flight for equal calls, in which the leader reserves, asks the upstream, and stores."""

from functools import partial

from gateway.core import echo_template
from gateway.core.cache_plan import CachePlan
from gateway.core.metrics import CACHE
from gateway.core.types import Answer, Call, Principal
from gateway.flow.answer_stores import AnswerStores
from gateway.flow.cache_stats import CacheStats
from gateway.flow.context import RequestContext
from gateway.flow.dispatch import Dispatcher
from gateway.flow.reserve import Reserver
from gateway.flow.runtime import Runtime
from gateway.flow.single_flight import COMPUTED, FlightResult, FlightSource, SingleFlight


class Computation:
    """Computes answers, each once."""

    def __init__(
        self,
        single_flight: SingleFlight,
        reserver: Reserver,
        dispatcher: Dispatcher,
        stores: AnswerStores,
        stats: CacheStats,
        runtime: Runtime,
    ) -> None:
        self._single_flight, self._reserver, self._dispatcher = single_flight, reserver, dispatcher
        self._stores, self._stats = stores, stats
        self._clock, self._tasks, self._meter = runtime.clock, runtime.tasks, runtime.meter

    async def answer(
        self, plan: CachePlan, call: Call, who: Principal, context: RequestContext
    ) -> tuple[Answer, FlightSource, bool]:
        """The answer, who computed it, and whether it is stored. Raises refusals and failures of the upstream."""
        result = "miss" if plan.storable else "bypass"
        self._meter.count(CACHE, call.endpoint, result, "no-cache" if plan.directives.no_cache else plan.reason)
        if plan.cache_key is None or plan.directives.no_cache:
            return await self._alone(plan, call, who, context)
        owner = self._clock.token(8).hex()  # the name under which the lease is held; it ends as the answer is stored
        started = self._clock.monotonic()
        answer, source, stored = await self._single_flight.run(
            plan.cache_key,
            partial(self._lead, plan, call, who, context, owner),
            distributed=plan.store_reachable and plan.namespace is None,
            fits=partial(self._fits, plan, call, self._clock.now()),
            owner=owner,
        )
        if source != COMPUTED:
            context.upstream_s = self._clock.monotonic() - started  # the upstream worked, for another caller
        return answer, source, stored

    async def _alone(
        self, plan: CachePlan, call: Call, who: Principal, context: RequestContext
    ) -> tuple[Answer, FlightSource, bool]:
        """A call whose answer is shared with nobody."""
        result = await self._tasks.run(self._lead(plan, call, who, context, None))
        if result.answer is None:
            raise result.failure or AssertionError("a flight ends with an answer or a failure")
        return result.answer, COMPUTED, result.stored

    def _fits(self, plan: CachePlan, call: Call, asked_at: float, answer: Answer) -> bool:
        """Whether this caller may have an answer computed for others: one made since they asked is always fresh."""
        fresh = answer.created >= asked_at or plan.satisfies(answer, self._clock.now())
        return fresh and echo_template.fits(call, answer)

    async def _lead(
        self, plan: CachePlan, call: Call, who: Principal, context: RequestContext, owner: str | None
    ) -> FlightResult:
        """Reserve, compute, settle, store. The computation itself does not know who pays."""
        held = await self._reserver.reserve(who, call, context)
        may_have_worked = True  # whatever interrupts the computation, the upstream may have worked: the charge stands
        started = self._clock.monotonic()
        try:
            computed = await self._dispatcher.compute(call)
            may_have_worked = computed.may_have_worked
        finally:
            self._reserver.settle(held, may_have_worked)
            context.upstream_s = self._clock.monotonic() - started
        if computed.answer is None:
            return FlightResult(failure=computed.problem)
        stored = await self._stores.put(plan, call, computed.answer, owner)
        if plan.storable:
            self._stats.record_write(stored.answer, stored=stored.stored)
        return FlightResult(stored.answer, stored=stored.stored)
