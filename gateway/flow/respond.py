"""From an answer or a problem to the response that a caller gets, and to its metrics and its access-log line."""

import re
from collections.abc import Mapping

import orjson

from gateway.core import cache_status
from gateway.core.cache_plan import CachePlan
from gateway.core.metrics import LATENCY, REQUESTS
from gateway.core.problems import Problem
from gateway.core.quota import with_fields
from gateway.core.types import Answer, Call, Principal, Response
from gateway.flow.caller_warnings import CallerWarnings
from gateway.flow.context import RequestContext
from gateway.flow.policy import PolicyEnforcer
from gateway.flow.runtime import Runtime
from gateway.flow.sample_runs import SampleRuns
from gateway.flow.single_flight import COMPUTED, FlightSource
from gateway.ports import AccessLog

# Answers hold unpublished proteins: no cache but ours may store them (RFC 9111 section 5.2.2).
PRIVATE = "private, no-store"
ANSWERED = (200, 304)
_TAG = re.compile(r'"([^"]*)"')


class Responder:
    """The way out of one worker."""

    def __init__(
        self,
        policy: PolicyEnforcer,
        caller_warnings: CallerWarnings,
        runs: SampleRuns,
        access_log: AccessLog,
        runtime: Runtime,
    ) -> None:
        self._policy, self._warnings, self._access_log, self._runs = policy, caller_warnings, access_log, runs
        self._clock, self._tasks, self._meter = runtime.clock, runtime.tasks, runtime.meter

    async def with_warning(
        self, answer: Answer, plan: CachePlan, call: Call, who: Principal, *, cached: bool
    ) -> Answer:
        """The answer, with a warning to the caller in it where one is due."""
        return await self._warnings.add(answer, plan, call, who, cached=cached)

    def hit(self, answer: Answer, plan: CachePlan, rate: Mapping[str, str], context: RequestContext) -> Response:
        now = self._clock.now()
        left = plan.freshness_left(answer, now)
        context.outcome = "hit" if left > 0 else "stale"
        status = cache_status.cache_status_hit(plan, left, answer.imported)
        return self._response(answer, status, now, rate, context)

    def stale(self, answer: Answer, plan: CachePlan, rate: Mapping[str, str], context: RequestContext) -> Response:
        now = self._clock.now()
        context.outcome = "stale"
        # A negative ttl says for how long the answer has been stale (RFC 9211 section 2.4).
        status = cache_status.cache_status_hit(plan, plan.freshness_left(answer, now))
        return self._response(answer, status, now, with_fields(rate, context.units_left), context)

    def computed(
        self,
        answer: Answer,
        source: FlightSource,
        stored: bool,
        plan: CachePlan,
        rate: Mapping[str, str],
        context: RequestContext,
    ) -> Response:
        collapsed = source != COMPUTED
        context.outcome = "collapsed" if collapsed else "miss" if plan.storable else "bypass"
        status = cache_status.cache_status_forwarded(
            plan, context.fwd, stored=stored, collapsed=collapsed, forbidden=answer.no_store
        )
        return self._response(answer, status, answer.created, with_fields(rate, context.units_left), context)

    def problem(self, problem: Problem, context: RequestContext) -> Response:
        """A problem document (RFC 9457)."""
        context.outcome = context.problem = problem.type.slug
        headers = {
            "X-Request-Id": context.request_id,
            "Cache-Control": "no-store",
            **with_fields(context.units_left, problem.headers),
        }
        body = orjson.dumps(problem.document(context.request_id))
        return Response(problem.type.status, body, headers, "application/problem+json")

    def _response(
        self, answer: Answer, status: str, now: float, rate: Mapping[str, str], context: RequestContext
    ) -> Response:
        context.cache = status
        headers = {
            "Cache-Status": status,
            "Age": str(max(0, int(now - answer.created))),
            "Cache-Control": PRIVATE,
            "X-Request-Id": context.request_id,
            "X-Gateway-Receipt": answer.receipt,
            **rate,
        }
        if not answer.etag:
            return Response(200, answer.body, headers)  # with a warning in it: it is no stored answer
        packed = answer.compressed if context.takes_zstd else None
        headers["ETag"] = f'"{answer.etag}"' if packed is None else f'"{answer.etag}-zstd"'
        if answer.compressed is not None:
            headers["Vary"] = "Accept-Encoding"
        if context.if_none_match is not None and _matches(context.if_none_match, answer.etag):
            return Response(304, b"", headers)
        if packed is None:
            return Response(200, answer.body, headers)
        return Response(200, packed, {**headers, "Content-Encoding": "zstd"})

    def account(self, context: RequestContext, response: Response) -> None:
        """Count and log an answered request; write the outcome of an audited call to the audit record; give back a
        number of a run that led to no answer."""
        took = context.elapsed_s()
        self._meter.count(REQUESTS, context.endpoint, context.outcome)
        self._meter.observe(LATENCY, took, context.endpoint, "total")
        self._meter.observe(LATENCY, max(0.0, took - context.upstream_s - context.queue_s), context.endpoint, "gateway")
        if context.queue_s:
            self._meter.observe(LATENCY, context.queue_s, context.endpoint, "queue")
        if context.store_s:
            self._meter.observe(LATENCY, context.store_s, context.endpoint, "store")
        self._access_log.write(self._line(context, response, took))
        if context.drawn is not None and response.status not in ANSWERED:
            self._tasks.start(self._runs.give_back(context.drawn))
        if context.audited and context.call is not None and context.who is not None:
            outcome = context.problem or context.outcome
            self._tasks.start(self._policy.record_outcome(context.call, context.who, context.request_id, outcome))

    def _line(self, context: RequestContext, response: Response, took: float) -> Mapping[str, object]:
        line: dict[str, object] = {
            "at": self._clock.now(),
            "request": context.request_id,
            "endpoint": context.endpoint,
            "status": response.status,
            "outcome": context.outcome,
            "ms": round(took * 1000, 3),
            "bytes": len(response.body),
        }
        if context.who is not None:
            key = context.who.key
            line["user"], line["team"], line["key"] = key.user, key.team, key.public_id
        if context.call is not None:
            call = context.call
            line["model"], line["units"], line["length"] = call.model, call.units, call.length
            line["cls"], line["reason"] = call.determinism.cls, call.determinism.reason
            line["flagged"] = call.flagged
        if context.upstream_s:
            line["upstream_ms"] = round(context.upstream_s * 1000, 3)
        if context.upstream_reason:
            line["upstream_reason"] = context.upstream_reason
        return line


def _matches(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match has the ETag of this answer, in either coding (RFC 9110 section 13.1.2, weak)."""
    return not {etag, f"{etag}-zstd"}.isdisjoint(_TAG.findall(if_none_match))
