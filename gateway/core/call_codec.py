"""Calls and problems as plain JSON, for the pipe between a worker and its reader process. No pickle, no code."""

from collections.abc import Mapping
from typing import Any

from gateway.core.problems import PROBLEM_TYPES, FieldError, Problem
from gateway.core.types import Call, Determinism, DeterminismClass

_TYPES = {row.slug: row for row in PROBLEM_TYPES}
_BYTES = ("canonical_digest", "sharing_digest", "former_digest")


def call_document(call: Call) -> dict[str, Any]:
    """Everything of a call but its body."""
    document = {name: getattr(call, name) for name in Call.__slots__ if name not in ("body", "determinism")}
    determined = call.determinism
    return {
        **document,
        **{name: document[name].hex() for name in _BYTES},
        "determinism": [determined.cls.value, determined.reason, determined.remedy],
        "drawn": call.drawn.value,
    }


def call_of(document: Mapping[str, Any], body: bytes) -> Call:
    """The call of a document, with its body."""
    cls, reason, remedy = document["determinism"]
    changed = {name: bytes.fromhex(document[name]) for name in _BYTES}
    determinism = Determinism(DeterminismClass(cls), reason, remedy)
    drawn = DeterminismClass(document["drawn"])
    return Call(**{**document, **changed, "determinism": determinism, "drawn": drawn, "body": body})


def problem_document(problem: Problem) -> dict[str, Any]:
    errors = [[error.pointer, error.detail] for error in problem.errors]
    return {"type": problem.type.slug, "detail": problem.detail, "errors": errors, "headers": dict(problem.headers)}


def problem_of(document: Mapping[str, Any]) -> Problem:
    errors = [FieldError(*error) for error in document["errors"]]
    return Problem(_TYPES[document["type"]], document["detail"], errors, document["headers"])
