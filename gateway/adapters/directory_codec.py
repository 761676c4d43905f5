"""Keys and approvals as bytes: JSON with the version of its form inside, every field by name.

Reading is strict: what does not have the expected form is None, never a record with defaults in place of limits.
Sealing is not done here.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from gateway.core.types import Approval, CacheScope, KeyRecord, Limits

FORM = 1


def write_key(record: KeyRecord) -> bytes:
    return orjson.dumps({"form": FORM, "key": asdict(record)})


def read_key(content: bytes) -> KeyRecord | None:
    try:
        row = _body(content, "key")
        limits = Limits(**row.pop("limits"))
        scope = _scope(row.pop("cache", None))
        return KeyRecord(**{**row, "models": _names(row["models"]), "limits": limits, "cache": scope})
    except (ValueError, TypeError, KeyError):
        return None


def write_approvals(approvals: Sequence[Approval]) -> bytes:
    return orjson.dumps({"form": FORM, "approvals": [asdict(approval) for approval in approvals]})


def read_approvals(content: bytes) -> tuple[Approval, ...] | None:
    try:
        return tuple(_approval(row) for row in _body(content, "approvals"))
    except (ValueError, TypeError, KeyError):
        return None


def _approval(row: dict[str, Any]) -> Approval:
    return Approval(**{**row, "approved_by": tuple(row["approved_by"]), "models": _names(row["models"])})


def _body(content: bytes, name: str) -> Any:
    document = orjson.loads(content)
    if document["form"] != FORM:
        raise ValueError("another form")
    return document[name]


def _scope(row: dict[str, Any] | None) -> CacheScope | None:
    if row is None:
        return None
    return CacheScope(**{**row, "classes": _names(row["classes"]), "directives": _names(row["directives"])})


def _names(models: list[str] | None) -> tuple[str, ...] | None:
    return None if models is None else tuple(models)
