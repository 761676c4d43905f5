"""A request from top to bottom. Nothing else knows the order."""

import re
from collections.abc import Mapping
from functools import partial

from gateway import endpoints
from gateway.core.cache_plan import CachePlan
from gateway.core.cache_status import idle_max_stale
from gateway.core.problems import (
    NOT_IN_CACHE,
    NOT_RECORDED,
    STATE_UNAVAILABLE,
    UNKNOWN_PATH,
    WRONG_METHOD,
    Problem,
)
from gateway.core.types import Answer, Call, DeterminismClass, Principal, Response
from gateway.endpoints import AnyEndpoint
from gateway.flow.admission import Admission
from gateway.flow.authenticate import Authenticator
from gateway.flow.compute import Computation
from gateway.flow.context import RequestContext
from gateway.flow.lookup import Lookup
from gateway.flow.permission import Permission
from gateway.flow.planner import Planner
from gateway.flow.policy import PolicyEnforcer
from gateway.flow.request_parser import RequestParser
from gateway.flow.respond import Responder
from gateway.flow.single_flight import COMPUTED
from gateway.ports import RawRequest

# More gaps in a row than crashes leave, and few enough for one request.
SKIPPED_SAMPLES = 8
RUN_ENDED = "This run has had every recorded sample of the call; another replay needs a new run token."


class Pipeline:
    """The steps of one worker, in the order in which a request passes them."""

    def __init__(
        self,
        authenticator: Authenticator,
        parser: RequestParser,
        policy: PolicyEnforcer,
        planner: Planner,
        admission: Admission,
        lookup: Lookup,
        computation: Computation,
        responder: Responder,
    ) -> None:
        self._authenticator, self._parser, self._policy, self._planner = authenticator, parser, policy, planner
        self._admission, self._lookup, self._computation = admission, lookup, computation
        self._responder = responder

    async def handle(self, raw: RawRequest, context: RequestContext) -> Response:
        """The response to a request; raises a Problem for what is refused."""
        endpoint = endpoints.find(raw.path)
        if endpoint is None or raw.method != endpoint.method:
            raise await self._no_endpoint(raw, context)  # 404 405
        context.endpoint = endpoint.name
        context.who = who = await self._authenticator.authenticate(raw.header("Authorization"))  # 401
        # 429: charged before the body is read, whatever comes of it.
        rate = self._admission.in_advance(who) or await self._admission.admit(who, context)
        with self._parser.reservation(who.user) as room:
            context.call = call = await self._parser.parse(endpoint, raw, room, who.user)  # 400 408 413 415 422
            permission = await self._permission(raw, call, context)  # 401: a key ends while its body comes
            who = permission.who
            context.audited = await self._policy.check(call, who, context.request_id)  # 403: before the cache
            context.if_none_match = raw.header("If-None-Match")
            context.takes_zstd = _takes_zstd(raw.header("Accept-Encoding"))
            plan, found, satisfies = await self._plan(endpoint, call, who, raw, context)  # 400 403 404 409 503
            if found is not None and satisfies:
                await permission.confirm_after_waiting()  # 401 403
                return await self._hit(found, plan, call, who, rate, context)
            _require_computable(plan, context)  # 404 412 503
            context.fwd = self._lookup.why_forwarded(plan, found)
            context.patient = found is None or not self._lookup.usable_if_error(plan, found)
            since = self._lookup.moment()
            try:
                # 401 403 429 502 503 504
                answer, source, stored = await self._computation.answer(plan, call, permission, context)
            except Problem as problem:
                if found is None or not problem.type.upstream_down:
                    raise
                if not await self._stands_in(found, plan, endpoint, call, who, raw, context):
                    raise
                await permission.confirm_after_waiting()  # 401 403
                return self._stale(found, plan, call, rate, context)
            answer = await self._lookup.render(plan, call, answer, since if stored else None)
            repeated = source != COMPUTED or context.got_earlier
            answer = await self._responder.with_warning(answer, plan, call, who, cached=repeated)
            return self._responder.computed(answer, source, stored, plan, rate, context)

    async def _permission(self, raw: RawRequest, call: Call, context: RequestContext) -> Permission:
        """Who asks, looked at again: they may do what they may do now, and not what they might before the body."""
        authenticate = partial(self._authenticator.authenticate, raw.header("Authorization"))
        asked_s = context.elapsed_s()
        context.who = who = await authenticate()
        if context.state_lost and call.flagged:
            raise _state_lost()  # an approval may have been revoked
        return Permission(self._policy, authenticate, call, who, context, asked_s)

    async def _no_endpoint(self, raw: RawRequest, context: RequestContext) -> Problem:
        """What is said of another path or method; who asks with a key is charged for it."""
        if raw.header("Authorization") is not None:
            context.who = who = await self._authenticator.authenticate(raw.header("Authorization"))
            await self._admission.admit(who, context)
        endpoint = endpoints.find(raw.path)
        if endpoint is None:
            return Problem(UNKNOWN_PATH, "See GET / for what is here.")
        context.endpoint = endpoint.name
        return Problem(WRONG_METHOD, headers={"Allow": endpoint.method})

    async def _plan(
        self, endpoint: AnyEndpoint, call: Call, who: Principal, raw: RawRequest, context: RequestContext
    ) -> tuple[CachePlan, Answer | None, bool]:
        """The plan, what is in this process or in the store, and whether it satisfies the request.

        In a frozen namespace, a sample of a run that was never recorded (as where a worker was killed) is skipped.
        """
        for _ in range(1 + SKIPPED_SAMPLES):
            plan = await self._planner.plan(endpoint, call, who, raw.header("Cache-Control"), context)
            found, satisfies = await self._look_up(plan, call, context)
            if found is not None or not plan.frozen or context.drawn is None:
                break
        return plan, found, satisfies

    async def _look_up(self, plan: CachePlan, call: Call, context: RequestContext) -> tuple[Answer | None, bool]:
        """What is in this process or in the store, and whether it satisfies the request."""
        found = self._lookup.local(plan, call)
        if found is not None or not plan.readable:
            return found, found is not None
        started = context.elapsed_s()
        found = await self._lookup.stored(plan, call)
        context.store_s += context.elapsed_s() - started
        return found, found is not None and self._lookup.satisfies(plan, found)

    async def _stands_in(
        self,
        found: Answer,
        plan: CachePlan,
        endpoint: AnyEndpoint,
        call: Call,
        who: Principal,
        raw: RawRequest,
        context: RequestContext,
    ) -> bool:
        """Whether the plan, made anew, still allows it: while the upstream was waited for, it may have been purged."""
        now = plan
        if context.drawn is None:  # planning draws another sample
            now = await self._planner.plan(endpoint, call, who, raw.header("Cache-Control"), context)
        return now.cache_key == plan.cache_key and self._lookup.usable_if_error(now, found)

    async def _hit(
        self,
        found: Answer,
        plan: CachePlan,
        call: Call,
        who: Principal,
        rate: Mapping[str, str],
        context: RequestContext,
    ) -> Response:
        # Of an exact answer there is never anything to warn about.
        exact = call.determinism.cls is DeterminismClass.EXACT
        answer = found if exact else await self._responder.with_warning(found, plan, call, who, cached=True)
        self._lookup.record_hit(plan, call, found)
        return self._responder.hit(answer, plan, rate, context)

    def _stale(
        self, found: Answer, plan: CachePlan, call: Call, rate: Mapping[str, str], context: RequestContext
    ) -> Response:
        """The upstream is down: a stale answer is better than none, and is marked."""
        self._lookup.record_stale(plan, call, found)
        return self._responder.stale(found, plan, rate, context)


def _require_computable(plan: CachePlan, context: RequestContext) -> None:
    """Raises a problem where what was not found must not be computed."""
    if plan.frozen:
        raise Problem(NOT_RECORDED, "" if context.drawn is None else RUN_ENDED)
    if plan.directives.only_if_cached:
        raise Problem(NOT_IN_CACHE, idle_max_stale(plan))
    if context.state_lost:
        raise _state_lost()  # nothing can be charged


def _state_lost() -> Problem:
    return Problem(STATE_UNAVAILABLE, "Only answers from the cache are served meanwhile.", headers={"Retry-After": "2"})


_ZERO_WEIGHT = re.compile(r"q=0(\.0{0,3})?")


def _takes_zstd(accept_encoding: str | None) -> bool:
    """Whether the caller reads zstd (RFC 9110 section 12.5.3; a weight of 0 says no)."""
    if accept_encoding is None or "zstd" not in accept_encoding.lower():
        return False
    codings = (part.replace(" ", "").lower().partition(";") for part in accept_encoding.split(","))
    return any(name == "zstd" and not _ZERO_WEIGHT.fullmatch(weight) for name, _, weight in codings)
