"""Keys and approvals as bytes: JSON with a format version, every field by name.

Decoding is strict: anything unexpected is None, never a record with defaults in place of limits. Sealing is done by the
caller.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from gateway.core.types import Approval, CacheScope, KeyRecord, Limits

FORMAT = 1


def encode_key(record: KeyRecord) -> bytes:
    return orjson.dumps({"format": FORMAT, "key": asdict(record)})


def decode_key(content: bytes) -> KeyRecord | None:
    try:
        row = _body(content, "key")
        limits = Limits(**row.pop("limits"))
        scope = _scope(row.pop("cache", None))
        record = KeyRecord(**{**row, "models": _names(row["models"]), "limits": limits, "cache": scope})
        _check((record.user, record.team, record.label), (record.created, record.expires, record.revoked))
        return record
    except (ValueError, TypeError, KeyError):
        return None


def encode_approvals(approvals: Sequence[Approval]) -> bytes:
    return orjson.dumps({"format": FORMAT, "approvals": [asdict(approval) for approval in approvals]})


def decode_approvals(content: bytes) -> tuple[Approval, ...] | None:
    try:
        return tuple(_approval(row) for row in _body(content, "approvals"))
    except (ValueError, TypeError, KeyError):
        return None


def _approval(row: dict[str, Any]) -> Approval:
    found = Approval(**{**row, "approved_by": tuple(row["approved_by"]), "models": _names(row["models"])})
    _check((found.approval_id, found.user, found.reason), (found.created, found.expires, found.revoked))
    return found


def _check(texts: tuple[object, ...], times: tuple[object, ...]) -> None:
    """Lists are sorted by them, and compare them with the time: one of another type would break every list."""
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(at, int | float | None) for at in times):
        raise TypeError("not a record")


def _body(content: bytes, name: str) -> Any:
    document = orjson.loads(content)
    if document["format"] != FORMAT:
        raise ValueError("another format")
    return document[name]


def _scope(row: dict[str, Any] | None) -> CacheScope | None:
    if row is None:
        return None
    return CacheScope(**{**row, "classes": _names(row["classes"]), "directives": _names(row["directives"])})


def _names(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
