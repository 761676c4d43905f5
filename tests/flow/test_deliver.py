"""The way out: what a caller is told, what is counted of it, and what is never written down."""

from typing import Any

import orjson
import pytest

from gateway.adapters.tasks import AsyncTasks
from gateway.core.caching import NO_WISH, Plan
from gateway.core.nouns import Response
from gateway.core.problems import CALL_INVALID, Fault, Problem
from gateway.flow.deliver import Deliver
from gateway.flow.permit import Permit
from gateway.flow.trace import Trace
from tests.flow.house import Parts, a_call, a_principal, an_answer

PLAN = Plan("address", "exact", NO_WISH, 100.0, keep_first=False)
BYPASS = Plan(None, "sampled", NO_WISH, 0.0, keep_first=False)
RATE = {"RateLimit": '"user-requests";r=1;t=1'}


def a_deliver(parts: Parts, tasks: AsyncTasks) -> Deliver:
    permit = Permit(parts.audit, parts.clock, parts.meter, {})
    return Deliver(permit, parts.access, parts.clock, tasks, parts.meter)


def a_trace(parts: Parts, *, flagged: bool = False, permitted: bool = True) -> Trace:
    trace = Trace("r1", parts.clock.monotonic())
    trace.who, trace.call, trace.permitted = a_principal(), a_call(flagged=flagged), permitted
    trace.endpoint = "generate_tensor"
    return trace


def test_a_hit_tells_its_age_and_how_long_it_lives_and_no_other_cache_may_keep_it() -> None:
    parts = Parts()
    trace = a_trace(parts)
    parts.clock.advance(30.7)
    response = a_deliver(parts, AsyncTasks()).hit(an_answer(), PLAN, RATE, trace)
    assert response.headers["Age"] == "30"
    assert response.headers["Cache-Status"] == "esm-gateway; hit; ttl=69; detail=exact"
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["X-Request-Id"] == "r1"
    assert response.headers["RateLimit"] == RATE["RateLimit"]
    assert (response.status, response.media_type, response.body) == (200, "application/json", an_answer().body)
    assert trace.outcome == "hit"


def test_an_answer_made_by_a_clock_that_runs_ahead_has_no_age_below_nothing() -> None:
    parts = Parts()
    ahead = an_answer(created=parts.clock.now() + 5)
    assert a_deliver(parts, AsyncTasks()).hit(ahead, PLAN, {}, a_trace(parts)).headers["Age"] == "0"


@pytest.mark.parametrize(
    "plan, stored, collapsed, outcome, status",
    [
        (PLAN, True, False, "miss", "esm-gateway; fwd=miss; stored; detail=exact"),
        (PLAN, False, False, "miss", "esm-gateway; fwd=miss; detail=exact"),
        (PLAN, True, True, "shared", "esm-gateway; fwd=miss; stored; collapsed; detail=exact"),
        (BYPASS, False, False, "bypass", "esm-gateway; fwd=bypass; detail=sampled"),
    ],
)
def test_a_fresh_answer_tells_how_it_came(plan: Plan, stored: bool, collapsed: bool, outcome: str, status: str) -> None:
    parts = Parts()
    trace = a_trace(parts)
    deliver = a_deliver(parts, AsyncTasks())
    response = deliver.fresh(an_answer(), plan, {}, trace, stored=stored, collapsed=collapsed)
    assert (response.headers["Cache-Status"], trace.cache, trace.outcome) == (status, status, outcome)


def test_a_refusal_is_a_problem_document_that_nobody_keeps() -> None:
    parts = Parts()
    trace = a_trace(parts)
    problem = Problem(CALL_INVALID, "d", [Fault("/model", "is missing")], {"Retry-After": "3"})
    response = a_deliver(parts, AsyncTasks()).problem(problem, trace)
    assert (response.status, response.media_type) == (422, "application/problem+json")
    assert response.headers == {"X-Request-Id": "r1", "Cache-Control": "no-store", "Retry-After": "3"}
    assert orjson.loads(response.body) == {
        "type": "urn:esm-gateway:problem:call-invalid",
        "title": "The call is not valid.",
        "status": 422,
        "detail": "d",
        "errors": [{"pointer": "/model", "detail": "is missing"}],
        "instance": "urn:esm-gateway:request:r1",
    }
    assert trace.outcome == trace.problem == "call-invalid"


def account(parts: Parts, trace: Trace) -> dict[str, Any]:
    async def act(tasks: AsyncTasks) -> None:
        a_deliver(parts, tasks).account(trace, Response(200, b"12345", {}))

    parts.play(act)
    return parts.access.lines[-1]


def test_the_gateway_s_own_time_is_what_upstream_and_line_leave_of_the_whole() -> None:
    parts = Parts()
    trace = a_trace(parts)
    trace.outcome, trace.upstream_s, trace.queue_s, trace.store_s = "miss", 2.0, 1.0, 0.25
    parts.clock.advance(3.5)
    line = account(parts, trace)
    seconds = {labels[2]: values for labels, values in parts.meter.seconds.items()}
    assert seconds == {"total": [3.5], "gateway": [0.5], "queue": [1.0], "store": [0.25]}
    assert (line["ms"], line["upstream_ms"], line["bytes"]) == (3500.0, 2000.0, 5)
    assert parts.meter.counts[("esmgw_requests_total", "generate_tensor", "miss")] == 1


def test_a_request_of_nobody_is_logged_without_a_name() -> None:
    parts = Parts()
    line = account(parts, Trace("r9", parts.clock.monotonic()))
    assert (line["request"], line["endpoint"], line["outcome"]) == ("r9", "none", "none")
    assert not {"user", "key", "model", "upstream_ms"} & line.keys()


@pytest.mark.parametrize("flagged, permitted, recorded", [(True, True, ["miss"]), (True, False, []), (False, True, [])])
def test_the_end_of_a_declared_call_that_was_permitted_is_on_record(
    flagged: bool, permitted: bool, recorded: list[str]
) -> None:
    parts = Parts()
    trace = a_trace(parts, flagged=flagged, permitted=permitted)
    trace.outcome = "miss"
    assert account(parts, trace)["flagged"] is flagged
    assert [event.facts["outcome"] for event in parts.audit.events] == recorded
    assert {event.kind for event in parts.audit.events} <= {"concern_answered"}


def test_a_declared_call_that_failed_is_on_record_with_its_problem() -> None:
    parts = Parts()
    trace = a_trace(parts, flagged=True)
    trace.outcome = trace.problem = "upstream-failed"
    account(parts, trace)
    assert parts.audit.events[0].facts["outcome"] == "upstream-failed"
