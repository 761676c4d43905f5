"""What happens on a miss: one flight for equal calls, in which the leader reserves, asks the upstream, and stores."""

import asyncio
from dataclasses import dataclass
from functools import partial

from gateway.core import echo_template
from gateway.core.cache_plan import CachePlan
from gateway.core.metrics import CACHE
from gateway.core.problems import Problem
from gateway.core.types import Answer, Call
from gateway.flow.answer_stores import AnswerStores
from gateway.flow.cache_stats import CacheStats
from gateway.flow.context import RequestContext
from gateway.flow.dispatch import Dispatcher
from gateway.flow.flight_result import FlightResult
from gateway.flow.permission import Permission, PermissionEnded
from gateway.flow.reserve import Reserver
from gateway.flow.runtime import Runtime
from gateway.flow.single_flight import COMPUTED, DISTRIBUTED, FlightSource, SingleFlight
from gateway.flow.turns import Turns
from gateway.flow.upstream_queue import UpstreamQueue

HOLD_S = 0.5


class Computation:
    """Computes answers, each once."""

    def __init__(
        self,
        single_flight: SingleFlight,
        reserver: Reserver,
        queue: UpstreamQueue,
        dispatcher: Dispatcher,
        stores: AnswerStores,
        stats: CacheStats,
        runtime: Runtime,
    ) -> None:
        self._single_flight, self._reserver, self._dispatcher = single_flight, reserver, dispatcher
        self._queue = queue
        self._stores, self._stats = stores, stats
        self._clock, self._tasks, self._meter = runtime.clock, runtime.tasks, runtime.meter

    async def answer(
        self, plan: CachePlan, call: Call, permission: Permission, context: RequestContext
    ) -> tuple[Answer, FlightSource, bool]:
        """The answer, who computed it, and whether it is stored. Raises refusals and failures of the upstream.

        From now on the call has `upstream.total_s`, whomever it follows, whatever it waits for, however often it is
        tried. Before it is sent, and where another caller's answer has come, its caller's permission is asked again.

        A failure that may pass is told no sooner than half a second after the request came: clients that try again at
        once would use up their tries.
        """
        try:
            return await self._answer(plan, call, permission, context)
        except Problem as problem:
            if problem.type.upstream_down and context.patient:
                await self._clock.sleep(max(0.0, HOLD_S - context.elapsed_s()))
            raise

    async def _answer(
        self, plan: CachePlan, call: Call, permission: Permission, context: RequestContext
    ) -> tuple[Answer, FlightSource, bool]:
        result = "miss" if plan.storable else "bypass"
        reason = plan.reason if context.fwd in ("miss", "bypass") else context.fwd
        self._meter.count(CACHE, call.endpoint, result, "no-cache" if plan.directives.no_cache else reason)
        owner = self._clock.token(8).hex()  # the name under which the lease is held; it ends as the answer is stored
        flight = Flight(plan, call, permission, context, owner, self._queue.deadline())
        if plan.cache_key is None or plan.directives.no_cache:
            return await self._alone(flight)
        started = self._clock.monotonic()
        answer, source, stored = await self._single_flight.run(
            plan.cache_key,
            partial(self._lead, flight),
            deadline=flight.deadline,
            distributed=plan.store_reachable and plan.namespace is None,
            fits=partial(self._fits, plan, call, self._clock.now()),
            owner=owner,
            abandon=flight.abandon,
        )
        if source != COMPUTED:
            context.upstream_s = self._clock.monotonic() - started  # the upstream worked, for another caller
            await permission.confirm_after_waiting()
        if source == DISTRIBUTED:
            # It came from the store, where another release may have left it.
            judged = await self._stores.judged(plan, call, answer)
            return await self._alone(flight) if judged is None else (judged, source, stored)
        return answer, source, stored

    async def _alone(self, flight: "Flight") -> tuple[Answer, FlightSource, bool]:
        """A call whose answer is shared with nobody."""
        flight.owner = None
        try:
            result = await self._tasks.run(self._lead(flight))
        except asyncio.CancelledError:
            flight.abandon()
            raise
        if result.answer is None:
            raise result.failure or AssertionError("a flight ends with an answer or a failure")
        return result.answer, COMPUTED, result.stored

    def _fits(self, plan: CachePlan, call: Call, asked_at: float, answer: Answer) -> bool:
        """Whether this caller may have an answer computed for others: one made since they asked is always fresh."""
        fresh = answer.created >= asked_at or plan.satisfies(answer, self._clock.now())
        return fresh and echo_template.fits(call, answer)

    async def _lead(self, flight: "Flight") -> FlightResult:
        """Reserve, compute, settle, store. The computation itself does not know who pays."""
        call, context = flight.call, flight.context
        given_s: float | None = flight.deadline - self._clock.monotonic()
        held = await self._reserver.reserve(flight.permission.who, call, context, flight.deadline)
        may_have_worked = True  # whatever interrupts the computation, the upstream may have worked: the charge stands
        started = self._clock.monotonic()
        turns = flight.turns = self._turns(flight)
        try:
            computed = await self._dispatcher.compute(call, turns)
            may_have_worked = computed.may_have_worked
        except PermissionEnded as ended:
            may_have_worked = False
            raise ended.problem from None
        finally:
            self._reserver.settle(held, may_have_worked)
            if not may_have_worked:
                context.units_left = {}  # they are given back
            context.queue_s += turns.waited_s
            context.upstream_s = self._clock.monotonic() - started - turns.waited_s
        context.upstream_reason = computed.reason
        if computed.answer is None:
            given_s = None if turns.has_time() else given_s
            return FlightResult(failure=computed.problem, given_s=given_s, of_upstream=computed.was_sent)
        stored = await self._stores.put(flight.plan, call, computed.answer, flight.owner)
        context.got_earlier = stored.earlier
        if flight.plan.storable:
            self._stats.record_write(stored.answer, stored=stored.stored)
        return FlightResult(stored.answer, stored=stored.stored)

    def _turns(self, flight: "Flight") -> Turns:
        context = flight.context
        request = self._queue.request_for(
            flight.permission.who.user, flight.call, context.queue_s, patient=context.patient, deadline=flight.deadline
        )
        turns = Turns(self._queue, request, self._clock, flight.permission.confirm_before_sending)
        if flight.abandoned:
            turns.abandon()
        return turns


@dataclass(slots=True)
class Flight:
    """One computation: for which call, for whom, until when, and its turns at the upstream once it has any."""

    plan: CachePlan
    call: Call
    permission: Permission
    context: RequestContext
    owner: str | None
    deadline: float
    turns: Turns | None = None
    abandoned: bool = False

    def abandon(self) -> None:
        """Nobody waits for it any more: what has not been sent is not sent."""
        self.abandoned = True
        if self.turns is not None:
            self.turns.abandon()
