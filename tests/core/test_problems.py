"""Every refusal: one table, unique types, and a document that says what is wrong and nothing else."""

import re

import orjson
import pytest

from gateway.core.problems import CALL_INVALID, PROBLEM_TYPES, FieldError, Problem, ProblemType

RETRIED_BY_THE_SDK = {429, 500, 502, 504}


def test_every_problem_type_has_a_slug_of_its_own() -> None:
    assert len({kind.slug for kind in PROBLEM_TYPES}) == len({kind.uri for kind in PROBLEM_TYPES}) == len(PROBLEM_TYPES)
    assert len(PROBLEM_TYPES) > 20
    assert all(kind.remedy.endswith(".") for kind in PROBLEM_TYPES)


@pytest.mark.parametrize("kind", PROBLEM_TYPES, ids=lambda kind: kind.slug)
def test_a_kind_has_a_status_of_refusal_a_type_that_is_a_urn_and_a_whole_sentence(kind: ProblemType) -> None:
    assert 400 <= kind.status <= 505
    assert re.fullmatch(r"urn:esm-gateway:problem:[a-z]+(-[a-z]+)*", kind.uri)
    assert re.fullmatch(r"\S.*\.", kind.title)
    assert kind.title not in {other.title for other in PROBLEM_TYPES if other is not kind}


@pytest.mark.parametrize(
    "slug",
    [
        "quota-exhausted",
        "not-in-cache",
        "state-unavailable",
        "audit-unavailable",
        "upstream-unavailable",
        "no-upstream-key",
    ],
)
def test_what_trying_again_at_once_would_only_make_worse_is_not_tried_again_by_the_sdk(slug: str) -> None:
    (kind,) = (kind for kind in PROBLEM_TYPES if kind.slug == slug)
    assert kind.status not in RETRIED_BY_THE_SDK


@pytest.mark.parametrize("slug", ["rate-exceeded", "concurrency-exceeded", "upstream-busy", "upstream-failed"])
def test_what_passes_by_itself_is_tried_again_by_the_sdk(slug: str) -> None:
    (kind,) = (kind for kind in PROBLEM_TYPES if kind.slug == slug)
    assert kind.status in RETRIED_BY_THE_SDK


@pytest.mark.parametrize("kind", PROBLEM_TYPES, ids=lambda kind: kind.slug)
def test_the_shortest_document_has_the_members_of_rfc_9457_and_no_others(kind: ProblemType) -> None:
    assert Problem(kind).document("r1") == {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "instance": "urn:esm-gateway:request:r1",
    }


def test_a_document_never_holds_the_headers() -> None:
    problem = Problem(
        CALL_INVALID, "A detail.", (FieldError("/a", "b"),), {"Retry-After": "31536", "X-Odd": "in the headers"}
    )
    text = orjson.dumps(problem.document("r1")).decode()
    assert not re.search("Retry-After|31536|X-Odd|in the headers|header", text)


def test_every_fault_is_listed_by_its_pointer_in_order() -> None:
    errors = [
        FieldError("/b/0", "must be a number"),
        FieldError("", "must be one object"),
        FieldError("/a~1b", "is required"),
    ]
    document = Problem(CALL_INVALID, "Three faults.", errors).document("r1")
    assert document["errors"] == [
        {"pointer": "/b/0", "detail": "must be a number"},
        {"pointer": "", "detail": "must be one object"},
        {"pointer": "/a~1b", "detail": "is required"},
    ]
    assert document["detail"] == "Three faults."


def test_two_problems_of_one_kind_are_two_problems() -> None:
    one, other = Problem(CALL_INVALID), Problem(CALL_INVALID)
    assert one != other
    assert len({one, other}) == 2
    assert one.headers is not other.headers
