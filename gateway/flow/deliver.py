"""From an answer or a problem to the response that a caller gets, and to what is counted and logged of it."""

import re
from collections.abc import Mapping

import orjson

from gateway.core import caching
from gateway.core.caching import Plan
from gateway.core.metrics import LATENCY, REQUESTS
from gateway.core.nouns import Answer, Response
from gateway.core.problems import Problem
from gateway.flow.permit import Permit
from gateway.flow.trace import Trace
from gateway.ports import AccessLog, Clock, Meter, Tasks

# Answers hold unpublished proteins: no cache but ours may keep them (RFC 9111 section 5.2.2).
PRIVATE = "private, no-store"


_TAG = re.compile(r'"([^"]*)"')


class Deliver:
    """The way out of one worker."""

    def __init__(self, permit: Permit, access: AccessLog, clock: Clock, tasks: Tasks, meter: Meter) -> None:
        self._permit, self._access = permit, access
        self._clock, self._tasks, self._meter = clock, tasks, meter

    def hit(self, answer: Answer, plan: Plan, rate: Mapping[str, str], trace: Trace) -> Response:
        now = self._clock.now()
        trace.outcome = "hit"
        return self._response(answer, caching.status_hit(plan, plan.left(answer, now)), now, rate, trace)

    def stale(self, answer: Answer, plan: Plan, rate: Mapping[str, str], trace: Trace) -> Response:
        now = self._clock.now()
        trace.outcome = "stale"
        # A negative ttl says how long the answer's time has been over (RFC 9211 section 2.4).
        left = min(-1.0, plan.left(answer, now))
        return self._response(answer, caching.status_hit(plan, left), now, rate, trace)

    def fresh(
        self, answer: Answer, plan: Plan, rate: Mapping[str, str], trace: Trace, *, stored: bool, collapsed: bool
    ) -> Response:
        trace.outcome = "shared" if collapsed else "miss" if plan.storable else "bypass"
        status = caching.status_forwarded(plan, stored=stored, collapsed=collapsed)
        return self._response(answer, status, answer.created, rate, trace)

    def problem(self, problem: Problem, trace: Trace) -> Response:
        """A refusal, as RFC 9457 has it."""
        trace.outcome = trace.problem = problem.kind.slug
        headers = {"X-Request-Id": trace.request_id, "Cache-Control": "no-store", **problem.headers}
        body = orjson.dumps(problem.document(trace.request_id))
        return Response(problem.kind.status, body, headers, "application/problem+json")

    def _response(self, answer: Answer, status: str, now: float, rate: Mapping[str, str], trace: Trace) -> Response:
        trace.cache = status
        headers = {
            "Cache-Status": status,
            "Age": str(max(0, int(now - answer.created))),
            "Cache-Control": PRIVATE,
            "X-Request-Id": trace.request_id,
            "X-Gateway-Receipt": answer.receipt,
            **rate,
        }
        if not answer.etag:
            return Response(200, answer.body, headers)  # with a sentence in it: it stands for no kept answer
        packed = answer.packed if trace.takes_zstd else None
        headers["ETag"] = f'"{answer.etag}"' if packed is None else f'"{answer.etag}-zstd"'
        if answer.packed is not None:
            headers["Vary"] = "Accept-Encoding"
        if trace.known is not None and _names(trace.known, answer.etag):
            return Response(304, b"", headers)
        if packed is None:
            return Response(200, answer.body, headers)
        return Response(200, packed, {**headers, "Content-Encoding": "zstd"})

    def account(self, trace: Trace, response: Response) -> None:
        """Count and log one request that has been answered; record the end of a flagged one."""
        took = self._clock.monotonic() - trace.started
        self._meter.count(REQUESTS, trace.endpoint, trace.outcome)
        self._meter.observe(LATENCY, took, trace.endpoint, "total")
        self._meter.observe(LATENCY, max(0.0, took - trace.upstream_s - trace.queue_s), trace.endpoint, "gateway")
        if trace.queue_s:
            self._meter.observe(LATENCY, trace.queue_s, trace.endpoint, "queue")
        if trace.store_s:
            self._meter.observe(LATENCY, trace.store_s, trace.endpoint, "store")
        self._access.write(self._line(trace, response, took))
        if trace.permitted and trace.call is not None and trace.call.flagged and trace.who is not None:
            outcome = trace.problem or trace.outcome
            self._tasks.spawn(self._permit.answered(trace.call, trace.who, trace.request_id, outcome))

    def _line(self, trace: Trace, response: Response, took: float) -> Mapping[str, object]:
        line: dict[str, object] = {
            "at": self._clock.now(),
            "request": trace.request_id,
            "endpoint": trace.endpoint,
            "status": response.status,
            "outcome": trace.outcome,
            "ms": round(took * 1000, 3),
            "bytes": len(response.body),
        }
        if trace.who is not None:
            key = trace.who.key
            line["user"], line["team"], line["key"] = key.user, key.team, key.public_id
        if trace.call is not None:
            call = trace.call
            line["model"], line["units"], line["length"] = call.model, call.units, call.length
            line["cls"], line["reason"] = call.determinism.cls, call.determinism.reason
            line["flagged"] = call.flagged
        if trace.upstream_s:
            line["upstream_ms"] = round(trace.upstream_s * 1000, 3)
        return line


def _names(known: str, etag: str) -> bool:
    """Whether If-None-Match names this answer, in whichever coding it was sent (RFC 9110 section 13.1.2, weak)."""
    return not {etag, f"{etag}-zstd"}.isdisjoint(_TAG.findall(known))
