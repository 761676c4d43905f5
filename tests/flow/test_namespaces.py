"""Namespaces as an administrator handles them: created, frozen once, dropped, and every step on record before."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.audit_kinds import AUDIT_KINDS
from gateway.core.types import Namespace
from gateway.flow.admin_arguments import InvalidArgument
from gateway.flow.namespaces import NamespaceAdmin, NamespaceState
from gateway.ports import AuditUnavailable, NamespaceContents
from tests.fakes.world import FakeWorld

LOOKING = ("namespace_store.namespaces", "namespace_store.held", "decisions.next_number")


class Office:
    def __init__(self) -> None:
        self.memory = FakeWorld()
        m = self.memory
        self.namespaces = NamespaceAdmin(m.namespace_store, m.decisions, m.audit, m.clock)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)

    def put(self, name: str = "paper", entries: int = 3) -> None:
        for i in range(entries):
            self.do(self.memory.namespace_store.put(name, f"{i:064x}", b"x" * 10))

    def writes(self) -> list[str]:
        return [effect for effect in self.memory.effects() if effect not in LOOKING]


@pytest.fixture
def office() -> Office:
    made = Office()
    made.do(made.namespaces.create("paper", "Figure 3", by="ada"))
    return made


def test_a_namespace_begins_live_and_empty_with_its_note(office: Office) -> None:
    info = office.do(office.namespaces.info("paper"))
    assert info.namespace == Namespace("paper", office.memory.clock.now(), None, "Figure 3")
    assert (info.state, info.contents) == (NamespaceState.LIVE, NamespaceContents(0, 0, closed=False))


def test_every_step_is_on_record_before_it_takes_effect(office: Office) -> None:
    office.do(office.namespaces.freeze("paper", by="ada"))
    office.do(office.namespaces.drop("paper", by="grace"))
    steps = [["namespace_store.create"], ["decisions.decide", "namespace_store.freeze"], ["namespace_store.drop"]]
    assert office.writes() == [effect for step in steps for effect in ("audit.append", *step)]
    kinds = [event.kind for event in office.memory.audit.events]
    assert kinds == ["namespace_created", "namespace_frozen", "namespace_dropped"]
    assert set(kinds) <= set(AUDIT_KINDS)
    assert [event.facts["by"] for event in office.memory.audit.events] == ["ada", "ada", "grace"]


def test_without_the_audit_nothing_changes(office: Office) -> None:
    office.memory.audit.lost.add("*")
    for work in (
        office.namespaces.create("other", "", by="ada"),
        office.namespaces.freeze("paper", by="ada"),
        office.namespaces.drop("paper", by="ada"),
    ):
        with pytest.raises(AuditUnavailable):
            office.do(work)
    (info,) = office.do(office.namespaces.infos())
    assert info.state is NamespaceState.LIVE


def test_freezing_again_changes_nothing_and_leaves_no_second_record(office: Office) -> None:
    first = office.do(office.namespaces.freeze("paper", by="ada"))
    office.memory.clock.advance(100)
    assert office.do(office.namespaces.freeze("paper", by="ada")) == first
    assert [event.kind for event in office.memory.audit.events].count("namespace_frozen") == 1


def test_dropping_tells_how_much_it_was_and_records_it(office: Office) -> None:
    office.put(entries=3)
    assert office.do(office.namespaces.drop("paper", by="ada")) == 3
    assert office.memory.audit.events[-1].facts["entries"] == 3
    with pytest.raises(InvalidArgument, match="no namespace"):
        office.do(office.namespaces.drop("paper", by="ada"))


def test_a_freeze_that_was_cut_off_is_seen_and_ended_by_freezing(office: Office) -> None:
    office.memory.namespace_store.records["paper"].frozen = 5.0
    assert office.do(office.namespaces.info("paper")).state is NamespaceState.UNFINISHED
    assert office.do(office.namespaces.freeze("paper", by="ada")).state is NamespaceState.FROZEN


def test_an_import_that_was_cut_off_is_seen_and_cannot_be_passed_off_as_whole(office: Office) -> None:
    named = office.memory.namespace_store.named
    named["paper"] = replace(named["paper"], frozen=5.0)
    assert office.do(office.namespaces.info("paper")).state is NamespaceState.INCOMPLETE
    with pytest.raises(InvalidArgument, match="interrupted"):
        office.do(office.namespaces.freeze("paper", by="ada"))
    office.do(office.namespaces.drop("paper", by="ada"))
    assert office.do(office.namespaces.infos()) == []


@pytest.mark.parametrize(
    "name, note, said",
    [
        ("", "", "letters"),
        ("a b", "", "letters"),
        ("x" * 65, "", "letters"),
        ("{tag}", "", "letters"),
        ("default", "", "all callers share"),
        ("paper", "", "already"),
        ("new", "a\x1b[2J", "printable"),
    ],
)
def test_a_namespace_that_cannot_be_is_refused_and_leaves_no_trace(
    office: Office, name: str, note: str, said: str
) -> None:
    before = office.writes()
    with pytest.raises(InvalidArgument, match=said):
        office.do(office.namespaces.create(name, note, by="ada"))
    assert office.writes() == before


def test_shelves_are_listed_by_name(office: Office) -> None:
    for name in ("b", "a", "c"):
        office.do(office.namespaces.create(name, "", by="ada"))
    assert [info.namespace.name for info in office.do(office.namespaces.infos())] == ["a", "b", "c", "paper"]
