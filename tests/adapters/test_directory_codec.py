"""Records of keys as bytes: what was written before a field existed reads as it was meant then."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.adapters.directory_codec import decode_approvals, decode_key, encode_approvals, encode_key
from gateway.core.types import Approval, CacheScope, KeyRecord, Limits

RECORD = KeyRecord("k1", "d" * 64, "ada", "lab", 1000.0, models=("esm3-open-2024-03",), limits=Limits(60))
WRITTEN_BEFORE_SCOPES = (
    b'{"format":1,"key":{"public_id":"k1","digest":"%s","user":"ada","team":"lab","created":1000.0,"expires":null,'
    b'"revoked":null,"models":["esm3-open-2024-03"],"limits":{"requests_per_minute":60,"burst":null,'
    b'"concurrent":null,"units_per_day":null},"label":""}}' % (b"d" * 64)
)


def test_a_key_from_before_scopes_does_with_the_cache_what_the_settings_say() -> None:
    assert decode_key(WRITTEN_BEFORE_SCOPES) == RECORD
    assert RECORD.cache is None


def test_a_scope_is_read_as_it_was_written() -> None:
    for scope in (CacheScope(), CacheScope((), "user", (), "a"), CacheScope(("exact", "pinned"), None, ("pool",))):
        scoped = replace(RECORD, cache=scope)
        assert decode_key(encode_key(scoped)) == scoped


def test_a_scope_that_is_not_understood_opens_nothing() -> None:
    row = orjson.loads(WRITTEN_BEFORE_SCOPES)
    scopes: list[Any] = [{"classes": None}, {"classes": None, "directives": None, "reach": "all"}, []]
    for scope in scopes:
        row["key"]["cache"] = scope
        assert decode_key(orjson.dumps(row)) is None


@pytest.mark.parametrize(
    ("name", "value"), [("created", "yesterday"), ("expires", []), ("revoked", "x"), ("user", 7), ("label", None)]
)
def test_a_record_of_another_type_is_none_so_that_it_breaks_no_list(name: str, value: object) -> None:
    row = orjson.loads(WRITTEN_BEFORE_SCOPES)
    row["key"][name] = value
    assert decode_key(orjson.dumps(row)) is None
    approvals = orjson.loads(encode_approvals([Approval("g", "ada", ("b", "c"), "r", 1.0, 2.0)]))
    approvals["approvals"][0][{"label": "reason"}.get(name, name)] = value
    assert decode_approvals(orjson.dumps(approvals)) is None
