"""The way out: what a caller is told, what is counted of it, and what is never written down."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
import zstandard

from gateway.core.cache_directives import NO_DIRECTIVES
from gateway.core.cache_plan import CachePlan
from gateway.core.entry_codec import compress
from gateway.core.problems import CALL_INVALID, FieldError, Problem
from gateway.core.types import Answer, DeterminismClass, Response
from gateway.flow.caller_warnings import CallerWarnings
from gateway.flow.context import RequestContext
from gateway.flow.policy import PolicyEnforcer
from gateway.flow.respond import Responder
from gateway.flow.runtime import BackgroundTasks
from gateway.flow.sample_runs import SampleRuns
from gateway.flow.single_flight import FlightSource
from tests.flow.harness import Parts, a_call, a_principal, an_answer, background_tasks
from tests.policies.built import built

DETAIL = '"exact: one step"'
PLAN = CachePlan("address", "exact", NO_DIRECTIVES, 100.0, first_write_wins=False, detail=DETAIL)
BYPASS = CachePlan(None, "no-store", NO_DIRECTIVES, 0.0, first_write_wins=False, detail="no-store")
RATE = {"RateLimit": '"user-requests";r=1;t=1'}


def a_responder(parts: Parts, tasks: BackgroundTasks) -> Responder:
    runtime = parts.runtime(tasks)
    policy = PolicyEnforcer(parts.audit, built(), runtime)
    runs = SampleRuns(parts.run_counters, b"s" * 32, runtime)
    return Responder(policy, CallerWarnings(parts.throttle, runtime), runs, parts.access, runtime)


def a_context(parts: Parts, *, flagged: bool = False, audited: bool = True) -> RequestContext:
    context = RequestContext("r1", parts.clock.monotonic)
    context.who, context.call, context.audited = a_principal(), a_call(flagged=flagged), audited
    context.endpoint = "generate_tensor"
    return context


def test_a_hit_tells_its_age_and_how_long_it_lives_and_no_other_cache_may_keep_it() -> None:
    parts = Parts()
    context = a_context(parts)
    parts.clock.advance(30.7)
    response = a_responder(parts, background_tasks()).hit(an_answer(), PLAN, RATE, context)
    assert response.headers["Age"] == "30"
    assert response.headers["Cache-Status"] == f"esm-gateway; hit; ttl=69; detail={DETAIL}"
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["X-Request-Id"] == "r1"
    assert response.headers["RateLimit"] == RATE["RateLimit"]
    assert (response.status, response.media_type, response.body) == (200, "application/json", an_answer().body)
    assert context.outcome == "hit"


def test_an_answer_made_by_a_clock_that_runs_ahead_has_no_age_below_nothing() -> None:
    parts = Parts()
    ahead = an_answer(created=parts.clock.now() + 5)
    assert a_responder(parts, background_tasks()).hit(ahead, PLAN, {}, a_context(parts)).headers["Age"] == "0"


LARGE = compress(
    Answer(
        b'{"outputs":[%s]}' % (b"0," * 999 + b"0"),
        1_800_000_000.0,
        DeterminismClass.EXACT,
        etag="e" * 32,
        receipt="r-1",
    )
)


def told(answer: Answer = LARGE, **asked: Any) -> Response:
    """The response to a hit, for a caller who knows some tags and reads some codings."""
    parts = Parts()
    context = a_context(parts)
    context.if_none_match, context.takes_zstd = asked.get("known"), asked.get("takes_zstd", False)
    return a_responder(parts, background_tasks()).hit(answer, PLAN, RATE, context)


def test_an_answer_has_its_tag_and_its_receipt() -> None:
    headers = told().headers
    assert (headers["ETag"], headers["X-Gateway-Receipt"]) == (f'"{"e" * 32}"', "r-1")


def test_whoever_reads_zstd_is_sent_the_bytes_that_are_stored_and_others_the_same_unpacked() -> None:
    packed, plain = told(takes_zstd=True), told()
    assert packed.body == LARGE.compressed
    assert zstandard.decompress(packed.body) == plain.body == LARGE.body
    assert packed.headers["Content-Encoding"] == "zstd"
    assert "Content-Encoding" not in plain.headers
    # Two codings are two representations: each has its tag, and both say what they were chosen by.
    assert (packed.headers["ETag"], plain.headers["ETag"]) == (f'"{"e" * 32}-zstd"', f'"{"e" * 32}"')
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


def test_what_is_not_kept_packed_is_sent_as_it_is() -> None:
    small = replace(an_answer(), etag="e" * 32)
    response = told(small, takes_zstd=True)
    assert response.body == small.body
    assert not {"Content-Encoding", "Vary"} & response.headers.keys()


TAG = "e" * 32


@pytest.mark.parametrize("takes_zstd", [True, False])
@pytest.mark.parametrize(
    "known, unchanged",
    [
        (f'"{TAG}"', True),
        (f'W/"{TAG}"', True),
        (f'"{TAG}-zstd"', True),
        (f'W/"{TAG}-zstd"', True),
        (f'"x", W/"{TAG}" , "y"', True),
        (f'"{TAG}x"', False),
        (f'"x{TAG}"', False),
        (f'"{TAG[:-1]}"', False),
        (f'"{TAG}-gzip"', False),
        (TAG, False),
        ("", False),
        (None, False),
    ],
)
def test_whoever_has_the_answer_already_is_not_sent_it_again(
    known: str | None, unchanged: bool, takes_zstd: bool
) -> None:
    response, whole = told(known=known, takes_zstd=takes_zstd), told(takes_zstd=takes_zstd)
    assert response.status == (304 if unchanged else 200)
    assert (response.body == b"") is unchanged
    # RFC 9110 section 15.4.5: what a 200 would have said of the representation's identity and its caching.
    for name in ("ETag", "Cache-Control", "Vary", "Age", "Cache-Status", "X-Gateway-Receipt"):
        assert response.headers[name] == whole.headers[name]
    assert unchanged <= ("Content-Encoding" not in response.headers)


def test_an_answer_without_a_tag_is_sent_whole_and_plain_whatever_the_caller_knows() -> None:
    response = told(replace(LARGE, etag=""), known='"", "-zstd"', takes_zstd=True)
    assert (response.status, response.body) == (200, LARGE.body)
    assert "ETag" not in response.headers


@pytest.mark.parametrize(
    "plan, ttl",
    [
        (PLAN, -50),
        # A purge has met it: stale since then, and never shown as if it were fresh.
        (replace(PLAN, ttl_s=1000.0, stale_before=1_800_000_140.0), -10),
        (replace(PLAN, ttl_s=1000.0, stale_before=1_800_000_999.0), -1),
    ],
)
def test_a_stale_answer_is_marked_by_how_long_its_time_has_been_over(plan: CachePlan, ttl: int) -> None:
    parts = Parts()
    context = a_context(parts)
    parts.clock.advance(150.0)
    response = a_responder(parts, background_tasks()).stale(LARGE, plan, RATE, context)
    assert response.headers["Cache-Status"] == f"esm-gateway; hit; ttl={ttl}; detail={DETAIL}"
    assert (response.status, response.headers["Age"], context.outcome) == (200, "150", "stale")
    assert response.body == LARGE.body


def test_an_answer_that_has_just_become_stale_does_not_pass_for_one_that_is_fresh() -> None:
    parts = Parts()
    parts.clock.advance(100.2)
    response = a_responder(parts, background_tasks()).stale(LARGE, PLAN, RATE, a_context(parts))
    assert "ttl=-1;" in response.headers["Cache-Status"]


@pytest.mark.parametrize(
    "plan, stored, collapsed, outcome, status",
    [
        (PLAN, True, False, "miss", f"esm-gateway; fwd=miss; stored; detail={DETAIL}"),
        (PLAN, False, False, "miss", f"esm-gateway; fwd=miss; detail={DETAIL}"),
        (PLAN, True, True, "collapsed", f"esm-gateway; fwd=miss; stored; collapsed; detail={DETAIL}"),
        (BYPASS, False, False, "bypass", "esm-gateway; fwd=bypass; detail=no-store"),
    ],
)
def test_a_fresh_answer_tells_how_it_came(
    plan: CachePlan, stored: bool, collapsed: bool, outcome: str, status: str
) -> None:
    parts = Parts()
    context = a_context(parts)
    context.fwd = plan.why_forwarded(None, 0.0)
    source: FlightSource = "process" if collapsed else "computed"
    response = a_responder(parts, background_tasks()).computed(an_answer(), source, stored, plan, {}, context)
    assert (response.headers["Cache-Status"], context.cache, context.outcome) == (status, status, outcome)


def test_a_refusal_is_a_problem_document_that_nobody_keeps() -> None:
    parts = Parts()
    context = a_context(parts)
    problem = Problem(CALL_INVALID, "d", [FieldError("/model", "is missing")], {"Retry-After": "3"})
    response = a_responder(parts, background_tasks()).problem(problem, context)
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
    assert context.outcome == context.problem == "call-invalid"


def account(parts: Parts, context: RequestContext) -> dict[str, Any]:
    async def act(tasks: BackgroundTasks) -> None:
        a_responder(parts, tasks).account(context, Response(200, b"12345", {}))

    parts.play(act)
    return parts.access.lines[-1]


def test_the_gateway_s_own_time_is_what_upstream_and_line_leave_of_the_whole() -> None:
    parts = Parts()
    context = a_context(parts)
    context.outcome, context.upstream_s, context.queue_s, context.store_s = "miss", 2.0, 1.0, 0.25
    parts.clock.advance(3.5)
    line = account(parts, context)
    seconds = {labels[2]: values for labels, values in parts.meter.seconds.items()}
    assert seconds == {"total": [3.5], "gateway": [0.5], "queue": [1.0], "store": [0.25]}
    assert (line["ms"], line["upstream_ms"], line["bytes"]) == (3500.0, 2000.0, 5)
    assert parts.meter.counts[("esmgw_requests_total", "generate_tensor", "miss")] == 1


def test_a_request_of_nobody_is_logged_without_a_name() -> None:
    parts = Parts()
    line = account(parts, RequestContext("r9", parts.clock.monotonic))
    assert (line["request"], line["endpoint"], line["outcome"]) == ("r9", "none", "none")
    assert not {"user", "key", "model", "upstream_ms"} & line.keys()


@pytest.mark.parametrize("audited, recorded", [(True, ["miss"]), (False, [])])
def test_the_outcome_of_an_audited_call_is_on_record_and_of_no_other(audited: bool, recorded: list[str]) -> None:
    parts = Parts()
    context = a_context(parts, flagged=True, audited=audited)
    context.outcome = "miss"
    account(parts, context)
    assert [event.facts["outcome"] for event in parts.audit.events] == recorded
    assert {event.kind for event in parts.audit.events} <= {"policy_answered"}


def test_a_declared_call_that_failed_is_on_record_with_its_problem() -> None:
    parts = Parts()
    context = a_context(parts, flagged=True)
    context.outcome = context.problem = "upstream-failed"
    account(parts, context)
    assert parts.audit.events[0].facts["outcome"] == "upstream-failed"
