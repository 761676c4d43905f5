"""A request from top to bottom. Nothing else knows the order."""

import re
from collections.abc import Mapping
from functools import partial

from gateway import endpoints
from gateway.core import caching
from gateway.core.caching import Plan, Scheme
from gateway.core.endpoint import Rules
from gateway.core.metrics import CACHE, UNITS
from gateway.core.nouns import Answer, Call, Class, Principal, Response
from gateway.core.problems import (
    NOT_RECORDED,
    PRECONDITION_UNMET,
    UNKNOWN_NAMESPACE,
    UNKNOWN_PATH,
    WRONG_METHOD,
    Problem,
)
from gateway.flow.admission import Admission
from gateway.flow.advise import Adviser
from gateway.flow.body import read_body
from gateway.flow.coalesce import Coalescer, Landed
from gateway.flow.deliver import Deliver
from gateway.flow.dispatch import Dispatcher
from gateway.flow.keyring import Keyring
from gateway.flow.memory import Memory
from gateway.flow.permit import Permit
from gateway.flow.recall import Recall
from gateway.flow.reserve import Reserver
from gateway.flow.revalidate import Revalidator
from gateway.flow.seen import Seen
from gateway.flow.trace import Trace
from gateway.flow.watch import Watch
from gateway.ports import Clock, Meter, RawRequest, Tasks


class Pipeline:
    """The parts of one worker, in the order in which a request meets them."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        memory: Memory,
        permit: Permit,
        watch: Watch,
        admission: Admission,
        recall: Recall,
        coalescer: Coalescer,
        reserver: Reserver,
        dispatcher: Dispatcher,
        deliver: Deliver,
        revalidator: Revalidator,
        adviser: Adviser,
        seen: Seen,
        scheme: Scheme,
        rules: Rules,
        max_body_bytes: int,
        tasks: Tasks,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._keyring, self._memory, self._permit, self._watch = keyring, memory, permit, watch
        self._admission, self._recall, self._coalescer = admission, recall, coalescer
        self._reserver, self._dispatcher, self._deliver = reserver, dispatcher, deliver
        self._revalidator, self._adviser, self._seen = revalidator, adviser, seen
        self._scheme, self._rules, self._max_body_bytes = scheme, rules, max_body_bytes
        self._tasks, self._clock, self._meter = tasks, clock, meter

    async def handle(self, raw: RawRequest, trace: Trace) -> Response:
        """The answer to a request; raises a Problem for what is refused."""
        endpoint = self._find(raw, trace)  # 404 405
        trace.who = who = await self._keyring.principal(raw.header("Authorization"))  # 401
        trace.call = call = await self._understand(endpoint, raw)  # 400 413 415 422: parsed once, normalised
        await self._permit.check(call, who, trace.request_id)  # 403: before the cache; on record if flagged
        trace.permitted = True
        trace.known, trace.takes_zstd = raw.header("If-None-Match"), _takes_zstd(raw.header("Accept-Encoding"))
        plan = await self._planned(endpoint, call, who, raw)  # 400 403 404: where the answer lives, and why
        rate, found, serves = await self._enter(plan, call, who, trace)  # 429: rate, fair line
        if found is not None and serves:
            exact = call.determinism.cls is Class.EXACT  # then there is never anything to say
            told = found if exact else await self._adviser.advised(found, plan, call, who, kept=True)
            return self._hit(found, told, plan, call, rate, trace)
        if plan.frozen:
            raise Problem(NOT_RECORDED)
        if plan.wish.only_if_cached:
            raise Problem(PRECONDITION_UNMET)
        try:
            return await self._obtain(plan, call, who, rate, trace)  # 403 429: reserve -> compute -> settle
        except Problem as problem:
            if found is None or not problem.kind.upstream_down or not plan.stands_in(found, self._clock.now()):
                raise
            return self._stale(found, plan, call, rate, trace)

    def _find(self, raw: RawRequest, trace: Trace) -> endpoints.AnyEndpoint:
        endpoint = endpoints.find(raw.path)
        if endpoint is None:
            raise Problem(UNKNOWN_PATH, "See GET / for what is here.")
        trace.endpoint = endpoint.name
        if raw.method != endpoint.method:
            raise Problem(WRONG_METHOD, headers={"Allow": endpoint.method})
        return endpoint

    async def _understand(self, endpoint: endpoints.AnyEndpoint, raw: RawRequest) -> Call:
        body = await read_body(raw, min(self._max_body_bytes, endpoint.max_bytes))
        call = self._memory.call(endpoint.name, raw.query, body)
        if call is None:
            call = endpoint.parse(body, raw.query, self._rules)
            self._memory.keep_call(endpoint.name, raw.query, body, call)
        return call

    async def _planned(self, endpoint: endpoints.AnyEndpoint, call: Call, who: Principal, raw: RawRequest) -> Plan:
        try:
            return self._plan(endpoint, call, who, raw)
        except Problem as problem:
            if problem.kind is not UNKNOWN_NAMESPACE:
                raise
        await self._watch.look_once_more()
        return self._plan(endpoint, call, who, raw)

    def _plan(self, endpoint: endpoints.AnyEndpoint, call: Call, who: Principal, raw: RawRequest) -> Plan:
        header, marks, scope = raw.header("Cache-Control"), self._watch.marks(), who.key.cache
        plain = header is None and marks is not None and (scope is None or scope.namespace is None)
        sharers = caching.sharers(who, self._scheme)
        plan = self._memory.plan(call, sharers) if plain else None
        if plan is None:
            known = self._watch.namespace
            plan = caching.plan_of(call, who, self._scheme, marks, known, endpoint.cacheable, header)
            if plain:
                self._memory.keep_plan(call, sharers, plan)
        return plan

    async def _enter(
        self, plan: Plan, call: Call, who: Principal, trace: Trace
    ) -> tuple[Mapping[str, str], Answer | None, bool]:
        """Charge the rate and look into the cache: from memory if it has the answer, else both stores at once.

        The RateLimit fields; what was found, perhaps too old; and whether it serves as it is.
        """
        found, charged = self._recall.at_hand(plan, call), self._admission.in_advance(who)
        to_read = found is None and plan.readable
        if charged is not None and not to_read:
            return charged, found, found is not None
        started = self._clock.monotonic()
        if charged is not None:
            rate, found = charged, await self._recall.read(plan, call)
        elif not to_read:
            rate = await self._admission.admit(who, trace)
        else:
            rate, found = await self._tasks.both(self._admission.admit(who, trace), self._recall.read(plan, call))
        trace.store_s += self._clock.monotonic() - started - trace.queue_s
        return rate, found, found is not None and plan.serves(found, self._clock.now())

    def _hit(
        self, hit: Answer, told: Answer, plan: Plan, call: Call, rate: Mapping[str, str], trace: Trace
    ) -> Response:
        self._meter.count(CACHE, call.endpoint, "hit", plan.reason)
        self._meter.count(UNITS, call.endpoint, "saved", by=call.units)
        self._seen.hit(call, hit)
        self._revalidator.noticed(plan, call, hit)
        return self._deliver.hit(told, plan, rate, trace)

    def _stale(self, found: Answer, plan: Plan, call: Call, rate: Mapping[str, str], trace: Trace) -> Response:
        """The upstream is down: an answer whose time is over is better than none, and is marked."""
        self._meter.count(CACHE, call.endpoint, "stale", plan.reason)
        self._seen.hit(call, found)
        return self._deliver.stale(found, plan, rate, trace)

    async def _obtain(self, plan: Plan, call: Call, who: Principal, rate: Mapping[str, str], trace: Trace) -> Response:
        result = "miss" if plan.storable else "bypass"
        self._meter.count(CACHE, call.endpoint, result, "no-cache" if plan.wish.no_cache else plan.reason)
        owner = self._clock.token(8).hex()  # under this name a lease is held, and ends as the answer is stored
        if plan.address is None or plan.wish.no_cache:
            landed, came = await self._tasks.spawn(self._lead(plan, call, who, trace, None)), "led"
            if landed.answer is None:
                raise landed.failure or AssertionError("a flight lands with an answer or a failure")
            answer, stored = landed.answer, landed.stored
        else:
            started = self._clock.monotonic()
            answer, came, stored = await self._coalescer.once(
                plan.address,
                partial(self._lead, plan, call, who, trace, owner),
                fleet=plan.in_sight and plan.namespace is None,
                canonical=call.canonical,
                fits=partial(self._fits, plan, self._clock.now()),
                owner=owner,
            )
            if came != "led":
                trace.upstream_s = self._clock.monotonic() - started  # the upstream worked, for somebody else
        answer = self._recall.present(plan, call, answer, remember=stored)
        answer = await self._adviser.advised(answer, plan, call, who, kept=False)
        return self._deliver.fresh(answer, plan, rate, trace, stored=stored, collapsed=came != "led")

    def _fits(self, plan: Plan, asked_at: float, answer: Answer) -> bool:
        """Whether an answer that others had computed is fresh enough; none is fresher than one made since we asked."""
        return answer.created >= asked_at or plan.serves(answer, self._clock.now())

    async def _lead(self, plan: Plan, call: Call, who: Principal, trace: Trace, owner: str | None) -> Landed:
        """Pay, compute, keep. The computation itself is not told who pays."""
        held = await self._reserver.reserve(who, call, trace)
        worked = True  # whatever interrupts the computation, the upstream may have worked: the charge stands
        started = self._clock.monotonic()
        try:
            computed = await self._dispatcher.compute(call)
            worked = computed.worked
        finally:
            self._reserver.settle(held, worked)
            trace.upstream_s = self._clock.monotonic() - started
        if computed.answer is None:
            return Landed(failure=computed.problem)
        kept = await self._recall.keep(plan, call, computed.answer, owner)
        if plan.storable:
            self._seen.kept(kept.answer, stored=kept.stored)
        return Landed(kept.answer, stored=kept.stored, only_for=kept.only_for)


_NOT_AT_ALL = re.compile(r"q=0(\.0{0,3})?")


def _takes_zstd(accept_encoding: str | None) -> bool:
    """Whether the caller reads zstd (RFC 9110 section 12.5.3; a weight of 0 says no)."""
    if accept_encoding is None or "zstd" not in accept_encoding.lower():
        return False
    codings = (part.replace(" ", "").lower().partition(";") for part in accept_encoding.split(","))
    return any(name == "zstd" and not _NOT_AT_ALL.fullmatch(weight) for name, _, weight in codings)
