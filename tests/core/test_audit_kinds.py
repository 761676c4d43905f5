"""Every audit record is a row: the kinds that gateway/ writes, and the facts of those that the file itself writes.

The facts of all other kinds are checked wherever a test writes them: the tests' audit log refuses what is not so.
"""

import ast
import asyncio
from pathlib import Path

import orjson
import pytest

from gateway.adapters.audit_file import FileAudit
from gateway.core.audit import Event
from gateway.core.audit_kinds import AUDIT_KINDS, AuditKind
from tests.fakes.stores import FakeAudit, check_event
from tests.fakes.world import FakeClock

GATEWAY = Path(__file__).resolve().parents[2] / "gateway"
WRITERS = {"Event", "_record", "record"}


def strings() -> set[str]:
    """Every string constant of gateway/ outside the table itself."""
    return {
        node.value
        for path in GATEWAY.rglob("*.py")
        if path != GATEWAY / "core" / "audit.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def written() -> set[str]:
    """The kinds that are written down where a record is made."""
    found: set[str] = set()
    for path in GATEWAY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                first = node.args[0]
                if name in WRITERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return found


@pytest.mark.parametrize("kind", AUDIT_KINDS)
def test_every_row_is_a_record_that_is_written(kind: str) -> None:
    assert kind in strings(), f"nothing in gateway/ writes {kind}; take its row out of AUDIT_KINDS"


def test_every_record_that_is_written_has_a_row() -> None:
    assert len(written()) > 8
    assert written() <= AUDIT_KINDS.keys()


@pytest.mark.parametrize("row", AUDIT_KINDS.values(), ids=AUDIT_KINDS)
def test_a_row_says_when_it_is_written_and_what_each_fact_means(row: AuditKind) -> None:
    assert row.written.endswith(".")
    assert row.facts
    assert all([*row.facts.values(), *row.optional.values()])
    assert not row.facts.keys() & row.optional.keys()


def test_the_records_that_the_file_itself_writes_are_as_their_rows_say(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"torn")
    log = FileAudit(path, b"secret", FakeClock([]))
    asyncio.run(log.append(Event("namespace_frozen", 1.0, {"by": "ada", "namespace": "paper"})))
    events = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert [event["kind"] for event in events] == ["chain_started", "chain_repaired", "namespace_frozen"]
    for event in events:
        check_event(Event(event["kind"], event["at"], event["facts"]))


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("namespace_melted", {"by": "ada", "namespace": "paper"}),
        ("namespace_frozen", {"by": "ada"}),
        ("namespace_frozen", {"by": "ada", "namespace": "paper", "why": "done"}),
    ],
)
def test_the_audit_log_of_the_tests_refuses_what_is_in_no_row(kind: str, facts: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match=kind):
        asyncio.run(FakeAudit([]).append(Event(kind, 1.0, facts)))
