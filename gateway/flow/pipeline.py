"""A request from top to bottom. Nothing else knows the order."""

import re
from collections.abc import Mapping

from gateway import endpoints
from gateway.core.cache_plan import CachePlan
from gateway.core.problems import NOT_IN_CACHE, NOT_RECORDED, UNKNOWN_PATH, WRONG_METHOD, Problem
from gateway.core.types import Answer, Call, DeterminismClass, Principal, Response
from gateway.flow.admission import Admission
from gateway.flow.authenticate import Authenticator
from gateway.flow.compute import Computation
from gateway.flow.context import RequestContext
from gateway.flow.lookup import Lookup
from gateway.flow.planner import Planner
from gateway.flow.policy import PolicyEnforcer
from gateway.flow.request_parser import RequestParser
from gateway.flow.respond import Responder
from gateway.ports import RawRequest

# A revocation is obeyed within two seconds, so who took longer than this to send a body is looked at again.
RECHECK_S = 1.0


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
            if context.elapsed_s() > RECHECK_S:
                context.who = who = await self._authenticator.authenticate(raw.header("Authorization"))  # 401
            context.audited = await self._policy.check(call, who, context.request_id)  # 403: before the cache
            context.if_none_match = raw.header("If-None-Match")
            context.takes_zstd = _takes_zstd(raw.header("Accept-Encoding"))
            plan = await self._planner.plan(endpoint, call, who, raw.header("Cache-Control"))  # 400 403 404 409
            found, satisfies = await self._look_up(plan, call, context)
            if found is not None and satisfies:
                return await self._hit(found, plan, call, who, rate, context)
            if plan.frozen:
                raise Problem(NOT_RECORDED)
            if plan.directives.only_if_cached:
                raise Problem(NOT_IN_CACHE)
            context.patient = found is None or not self._lookup.usable_if_error(plan, found)
            since = self._lookup.moment()
            try:
                answer, source, stored = await self._computation.answer(plan, call, who, context)  # 403 429 502 503 504
            except Problem as problem:
                if found is None or not problem.type.upstream_down:
                    raise
                # Made anew: while the upstream was waited for, the answer may have been purged.
                now = await self._planner.plan(endpoint, call, who, raw.header("Cache-Control"))
                if now.cache_key != plan.cache_key or not self._lookup.usable_if_error(now, found):
                    raise
                return self._stale(found, plan, call, rate, context)
            answer = await self._lookup.render(plan, call, answer, since if stored else None)
            answer = await self._responder.with_warning(answer, plan, call, who, cached=False)
            return self._responder.computed(answer, source, stored, plan, rate, context)

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

    async def _look_up(self, plan: CachePlan, call: Call, context: RequestContext) -> tuple[Answer | None, bool]:
        """What is in this process or in the store, and whether it satisfies the request."""
        found = self._lookup.local(plan, call)
        if found is not None or not plan.readable:
            return found, found is not None
        started = context.elapsed_s()
        found = await self._lookup.stored(plan, call)
        context.store_s += context.elapsed_s() - started
        return found, found is not None and self._lookup.satisfies(plan, found)

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


_ZERO_WEIGHT = re.compile(r"q=0(\.0{0,3})?")


def _takes_zstd(accept_encoding: str | None) -> bool:
    """Whether the caller reads zstd (RFC 9110 section 12.5.3; a weight of 0 says no)."""
    if accept_encoding is None or "zstd" not in accept_encoding.lower():
        return False
    codings = (part.replace(" ", "").lower().partition(";") for part in accept_encoding.split(","))
    return any(name == "zstd" and not _ZERO_WEIGHT.fullmatch(weight) for name, _, weight in codings)
