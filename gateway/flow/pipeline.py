"""A request from top to bottom. Nothing else knows the order."""

import re
from collections.abc import Mapping
from functools import partial

from gateway import endpoints
from gateway.core import cache_plan
from gateway.core.cache_plan import CacheConfig, CachePlan
from gateway.core.endpoint import ParseConfig
from gateway.core.metrics import CACHE, UNITS
from gateway.core.problems import (
    NOT_IN_CACHE,
    NOT_RECORDED,
    UNKNOWN_NAMESPACE,
    UNKNOWN_PATH,
    WRONG_METHOD,
    Problem,
)
from gateway.core.types import Answer, Call, DeterminismClass, Principal, Response
from gateway.flow.admission import Admission
from gateway.flow.authenticate import Authenticator
from gateway.flow.cache import AnswerCache
from gateway.flow.cache_stats import CacheStats
from gateway.flow.caller_warnings import CallerWarnings
from gateway.flow.context import RequestContext
from gateway.flow.dispatch import Dispatcher
from gateway.flow.invalidation_poller import InvalidationPoller
from gateway.flow.local_cache import LocalCache
from gateway.flow.policy import PolicyEnforcer
from gateway.flow.request_body import read_body
from gateway.flow.reserve import Reserver
from gateway.flow.respond import Responder
from gateway.flow.single_flight import FlightResult, SingleFlight
from gateway.flow.spot_check import SpotChecker
from gateway.ports import Clock, Meter, RawRequest, Tasks


class Pipeline:
    """The parts of one worker, in the order in which a request meets them."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        memory: LocalCache,
        policy: PolicyEnforcer,
        poller: InvalidationPoller,
        admission: Admission,
        recall: AnswerCache,
        single_flight: SingleFlight,
        reserver: Reserver,
        dispatcher: Dispatcher,
        responder: Responder,
        spot_checker: SpotChecker,
        caller_warnings: CallerWarnings,
        seen: CacheStats,
        cache_config: CacheConfig,
        rules: ParseConfig,
        max_body_bytes: int,
        tasks: Tasks,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._authenticator, self._memory, self._policy, self._poller = authenticator, memory, policy, poller
        self._admission, self._recall, self._single_flight = admission, recall, single_flight
        self._reserver, self._dispatcher, self._responder = reserver, dispatcher, responder
        self._spot_checker, self._warnings, self._seen = spot_checker, caller_warnings, seen
        self._cache_config, self._rules, self._max_body_bytes = cache_config, rules, max_body_bytes
        self._tasks, self._clock, self._meter = tasks, clock, meter

    async def handle(self, raw: RawRequest, context: RequestContext) -> Response:
        """The answer to a request; raises a Problem for what is refused."""
        endpoint = self._find(raw, context)  # 404 405
        context.who = who = await self._authenticator.principal(raw.header("Authorization"))  # 401
        context.call = call = await self._understand(endpoint, raw)  # 400 413 415 422: parsed once, normalised
        await self._policy.check(call, who, context.request_id)  # 403: before the cache; on record if flagged
        context.permitted = True
        context.known, context.takes_zstd = raw.header("If-None-Match"), _takes_zstd(raw.header("Accept-Encoding"))
        plan = await self._planned(endpoint, call, who, raw)  # 400 403 404: where the answer lives, and why
        rate, found, satisfies = await self._enter(plan, call, who, context)  # 429: rate, fair line
        if found is not None and satisfies:
            exact = call.determinism.cls is DeterminismClass.EXACT  # then there is never anything to say
            told = found if exact else await self._warnings.advised(found, plan, call, who, kept=True)
            return self._hit(found, told, plan, call, rate, context)
        if plan.frozen:
            raise Problem(NOT_RECORDED)
        if plan.directives.only_if_cached:
            raise Problem(NOT_IN_CACHE)
        try:
            return await self._obtain(plan, call, who, rate, context)  # 403 429: reserve -> compute -> settle
        except Problem as problem:
            if found is None or not problem.kind.upstream_down or not plan.usable_if_error(found, self._clock.now()):
                raise
            return self._stale(found, plan, call, rate, context)

    def _find(self, raw: RawRequest, context: RequestContext) -> endpoints.AnyEndpoint:
        endpoint = endpoints.find(raw.path)
        if endpoint is None:
            raise Problem(UNKNOWN_PATH, "See GET / for what is here.")
        context.endpoint = endpoint.name
        if raw.method != endpoint.method:
            raise Problem(WRONG_METHOD, headers={"Allow": endpoint.method})
        return endpoint

    async def _understand(self, endpoint: endpoints.AnyEndpoint, raw: RawRequest) -> Call:
        body = await read_body(raw, min(self._max_body_bytes, endpoint.max_bytes))
        call = self._memory.call(endpoint.name, raw.query, body)
        if call is None:
            call = endpoint.parse(body, raw.query, self._rules)
            self._memory.put_call(endpoint.name, raw.query, body, call)
        return call

    async def _planned(self, endpoint: endpoints.AnyEndpoint, call: Call, who: Principal, raw: RawRequest) -> CachePlan:
        try:
            return self._plan(endpoint, call, who, raw)
        except Problem as problem:
            if problem.kind is not UNKNOWN_NAMESPACE:
                raise
        await self._poller.poll_state_now()
        return self._plan(endpoint, call, who, raw)

    def _plan(self, endpoint: endpoints.AnyEndpoint, call: Call, who: Principal, raw: RawRequest) -> CachePlan:
        header, purge_state, scope = raw.header("Cache-Control"), self._poller.purge_state(), who.key.cache
        plain = header is None and purge_state is not None and (scope is None or scope.namespace is None)
        sharers = cache_plan.plan_scope(who, self._cache_config)
        plan = self._memory.plan(call, sharers) if plain else None
        if plan is None:
            known = self._poller.namespace
            plan = cache_plan.plan_for(call, who, self._cache_config, purge_state, known, endpoint.cacheable, header)
            if plain:
                self._memory.put_plan(call, sharers, plan)
        return plan

    async def _enter(
        self, plan: CachePlan, call: Call, who: Principal, context: RequestContext
    ) -> tuple[Mapping[str, str], Answer | None, bool]:
        """Charge the rate and look into the cache: from memory if it has the answer, else both stores at once.

        The RateLimit fields; what was found, perhaps too old; and whether it serves as it is.
        """
        found, charged = self._recall.get_local(plan, call), self._admission.in_advance(who)
        to_read = found is None and plan.readable
        if charged is not None and not to_read:
            return charged, found, found is not None
        started = self._clock.monotonic()
        if charged is not None:
            rate, found = charged, await self._recall.read(plan, call)
        elif not to_read:
            rate = await self._admission.admit(who, context)
        else:
            rate, found = await self._tasks.both(self._admission.admit(who, context), self._recall.read(plan, call))
        context.store_s += self._clock.monotonic() - started - context.queue_s
        return rate, found, found is not None and plan.satisfies(found, self._clock.now())

    def _hit(
        self, hit: Answer, told: Answer, plan: CachePlan, call: Call, rate: Mapping[str, str], context: RequestContext
    ) -> Response:
        self._meter.count(CACHE, call.endpoint, "hit", plan.reason)
        self._meter.count(UNITS, call.endpoint, "saved", by=call.units)
        self._seen.hit(call, hit)
        self._spot_checker.noticed(plan, call, hit)
        return self._responder.hit(told, plan, rate, context)

    def _stale(
        self, found: Answer, plan: CachePlan, call: Call, rate: Mapping[str, str], context: RequestContext
    ) -> Response:
        """The upstream is down: an answer whose time is over is better than none, and is marked."""
        self._meter.count(CACHE, call.endpoint, "stale", plan.reason)
        self._seen.hit(call, found)
        return self._responder.stale(found, plan, rate, context)

    async def _obtain(
        self, plan: CachePlan, call: Call, who: Principal, rate: Mapping[str, str], context: RequestContext
    ) -> Response:
        outcome = "miss" if plan.storable else "bypass"
        self._meter.count(CACHE, call.endpoint, outcome, "no-cache" if plan.directives.no_cache else plan.reason)
        owner = self._clock.token(8).hex()  # under this name a lease is held, and ends as the answer is stored
        if plan.cache_key is None or plan.directives.no_cache:
            result, source = await self._tasks.spawn(self._compute(plan, call, who, context, None)), "led"
            if result.answer is None:
                raise result.failure or AssertionError("a flight lands with an answer or a failure")
            answer, stored = result.answer, result.stored
        else:
            started = self._clock.monotonic()
            answer, source, stored = await self._single_flight.once(
                plan.cache_key,
                partial(self._compute, plan, call, who, context, owner),
                distributed=plan.store_reachable and plan.namespace is None,
                canonical=call.canonical_digest,
                fits=partial(self._fits, plan, self._clock.now()),
                owner=owner,
            )
            if source != "led":
                context.upstream_s = self._clock.monotonic() - started  # the upstream worked, for somebody else
        answer = self._recall.present(plan, call, answer, remember=stored)
        answer = await self._warnings.advised(answer, plan, call, who, kept=False)
        return self._responder.fresh(answer, plan, rate, context, stored=stored, collapsed=source != "led")

    def _fits(self, plan: CachePlan, asked_at: float, answer: Answer) -> bool:
        """Whether an answer that others had computed is fresh enough; none is fresher than one made since we asked."""
        return answer.created >= asked_at or plan.satisfies(answer, self._clock.now())

    async def _compute(
        self, plan: CachePlan, call: Call, who: Principal, context: RequestContext, owner: str | None
    ) -> FlightResult:
        """Pay, compute, keep. The computation itself is not told who pays."""
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
        kept = await self._recall.keep(plan, call, computed.answer, owner)
        if plan.storable:
            self._seen.kept(kept.answer, stored=kept.stored)
        return FlightResult(kept.answer, stored=kept.stored, only_for=kept.only_for)


_NOT_AT_ALL = re.compile(r"q=0(\.0{0,3})?")


def _takes_zstd(accept_encoding: str | None) -> bool:
    """Whether the caller reads zstd (RFC 9110 section 12.5.3; a weight of 0 says no)."""
    if accept_encoding is None or "zstd" not in accept_encoding.lower():
        return False
    codings = (part.replace(" ", "").lower().partition(";") for part in accept_encoding.split(","))
    return any(name == "zstd" and not _NOT_AT_ALL.fullmatch(weight) for name, _, weight in codings)
