"""What is in the stores and on the record is shown, however odd it is: one record never hides the others."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.prometheus import PrometheusMeter
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_namespaces import RedisNamespaces
from gateway.cli.times import format_time
from gateway.core.sealing import derive_key
from gateway.core.types import Approval, KeyRecord, Limits, Namespace
from tests.cli.conftest import MASTER, Line
from tests.contracts.servers import Stores

PLAIN = KeyRecord("A" * 12, "0" * 64, "ada", "lab", 1_800_000_000.0)
ODD_KEYS = [
    replace(PLAIN, expires=1_800_000_000.0 + 999_999 * 604_800),
    replace(PLAIN, expires=253_402_343_940.0),
    replace(PLAIN, created=-1e18, revoked=1e300),
    replace(PLAIN, label="two\nlines \x1b[2J", team="\u202e"),
    replace(PLAIN, limits=Limits(1, 2, 3, 2**62)),
    replace(PLAIN, models=(), expires=-1.0),
]


def in_state(line: Line, stores: Stores, work: Callable[[RedisStore, bytes], Awaitable[Any]]) -> None:
    """Do something in the state store, sealed as the gateway of `line` seals."""
    master = (MASTER + line.directory.name).encode()

    async def main() -> None:
        store = connect(stores.state.url, timeout_s=5.0, name="test")
        try:
            await work(store, derive_key(master, "directory"))
        finally:
            await store.close()

    asyncio.run(main())


def put_key(line: Line, stores: Stores, *records: KeyRecord) -> None:
    async def work(store: RedisStore, key: bytes) -> None:
        for record in records:
            await RedisDirectory(store, key, SystemClock(), PrometheusMeter("1")).put_key(record)

    in_state(line, stores, work)


@pytest.mark.parametrize("odd", ODD_KEYS)
def test_every_listing_shows_an_odd_key_and_those_beside_it(line: Line, stores: Stores, odd: KeyRecord) -> None:
    user = f"ada-{uuid4().hex[:8]}"
    one, two = (replace(odd, public_id=uuid4().hex[:12], user=user) for _ in range(2))
    put_key(line, stores, one, replace(PLAIN, public_id=two.public_id, user=user))
    ids = {one.public_id, two.public_id}
    for words in (["keys", "list"], ["keys", "list", "--user", user], ["keys", "list", "--json"]):
        said = line.said(*words)
        assert all(each in said for each in ids)
        assert "\x1b" not in said
        assert "\u202e" not in said or "--json" in words
    assert one.public_id in line.said("keys", "show", one.public_id)
    assert line.json("keys", "show", one.public_id)["expires"] == odd.expires
    assert "revoked" in line.said("keys", "revoke", one.public_id)
    assert line.said("usage", user)


def test_an_odd_approval_is_shown_with_its_key(line: Line, stores: Stores) -> None:
    user = f"ada-{uuid4().hex[:8]}"
    made = line.json("keys", "create", "--user", user)

    async def work(store: RedisStore, key: bytes) -> None:
        odd = Approval("far", user, ("b", "c"), "x\ny", -1e20, 1e20, None, 1e20)
        await RedisDirectory(store, key, SystemClock(), PrometheusMeter("1")).put_approval(odd)

    in_state(line, stores, work)
    assert "approval far until after the year 9999" in line.said("keys", "show", made["public_id"])


def test_an_odd_namespace_is_listed(line: Line, stores: Stores) -> None:
    name = f"n{uuid4().hex[:8]}"

    async def work(store: RedisStore, key: bytes) -> None:
        await RedisNamespaces(store, key, SystemClock(), PrometheusMeter("1"), 2**20).create(
            Namespace(name, 1e15, None, "a\tb")
        )

    in_state(line, stores, work)
    for words in (["cache", "namespaces"], ["cache", "stats"]):
        assert line.said(*words)
    assert f"{name}  live" in line.said("cache", "namespaces")
    assert "after the year 9999" in line.said("cache", "namespaces")
    line.said("cache", "namespace", "drop", name, "--yes")


@pytest.mark.parametrize(
    "odd",
    [
        '{"seq": [1], "at": "yesterday", "kind": {"a": 1}, "facts": ["x"]}',
        '{"seq": 1e300, "at": 1e300, "kind": null, "facts": "text"}',
        '{"facts": {"expires": 1e300, "label": "\\u001b[2J", "n": 123456789012345678901234567890}}',
        "[" * 300 + "]" * 300,
        "[" * 5000,
        "\udcff",
        "{}",
        "null",
    ],
)
def test_an_odd_line_of_the_audit_record_is_shown_or_said_to_be_unreadable(line: Line, odd: str) -> None:
    line.said("keys", "create", "--user", "ada")
    path = line.directory / "data" / "audit" / "audit.jsonl"
    path.write_bytes(path.read_bytes() + odd.encode(errors="surrogateescape") + b"\n")
    said = line.said("audit", "tail")
    assert "key_created" in said
    assert "\x1b" not in said
    assert len(said.splitlines()) == len(line.json("audit", "tail")) == 3
    assert "line 3" in line.refusal("audit", "verify", "--no-head")


def test_times_among_the_facts_are_shown_as_times(line: Line) -> None:
    line.said("keys", "create", "--user", "ada", "--expires", "2030-01-31")
    assert "expires=2030-01-31_23:59_UTC" in line.said("audit", "tail")
    assert line.json("audit", "tail")[-1]["facts"]["expires"] == 1896134399.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, None),
        (0, "1970-01-01 00:00 UTC"),
        (1e12, "after the year 9999"),
        (float("inf"), "after the year 9999"),
        (float("-inf"), "before the year 1"),
        (-1e12, "before the year 1"),
        (float("nan"), "not a time"),
        ("2027", "not a time"),
        ([], "not a time"),
    ],
)
def test_every_value_is_a_time_or_said_not_to_be_one(seconds: object, said: str | None) -> None:
    assert format_time(seconds) == said


def test_json_needs_no_table(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever might be wrong with the lines for people."""
    made = line.json("keys", "create", "--user", "ada")

    def broken(*_: object) -> str:
        raise AssertionError("a line was made")

    for module in ("keys", "cache_namespaces", "usage"):
        monkeypatch.setattr(f"gateway.cli.{module}.table", lambda *_: iter(lambda: broken(), None))
    monkeypatch.setattr("gateway.cli.keys.format_time", broken)
    assert made["public_id"] in {key["public_id"] for key in line.json("keys", "list")}
    assert line.json("keys", "show", made["public_id"])["user"] == "ada"
    assert isinstance(line.json("cache", "namespaces"), list)
    assert line.json("usage", "ada")


def test_a_file_name_that_is_no_text_is_shown_too(line: Line, tmp_path: Path) -> None:
    name = f"n{uuid4().hex[:8]}"
    line.said("cache", "namespace", "create", name)
    line.said("cache", "namespace", "freeze", name)
    for words in ([], ["--json"]):
        file = f"{tmp_path}/\udcff{len(words)}"
        result = line.run("cache", "namespace", "export", name, file, *words)
        assert result.exit_code == 0, result.output
        assert Path(file).exists()
    assert json.loads(result.stdout)["file"] == file
    line.said("cache", "namespace", "drop", name, "--yes")
