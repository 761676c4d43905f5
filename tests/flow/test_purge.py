"""What an administrator makes the gateway forget, and that the record of it stands before."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.core.types import Namespace
from gateway.flow.admin_arguments import InvalidArgument
from gateway.flow.purge import Purger, PurgeRequest
from gateway.ports import AuditUnavailable, StoreUnavailable
from tests.fakes.world import FakeWorld

MODEL = "esm3-open-2024-03"
KEY = "0123456789abcdef" * 4
LOOKING = ("namespace_store.namespaces", "namespace_store.held")


class Office:
    def __init__(self) -> None:
        self.memory = m = FakeWorld()
        self.purger = Purger(
            purge_store=m.purge_store,
            cache=m.cache,
            namespace_store=m.namespace_store,
            audit=m.audit,
            clock=m.clock,
            models=[MODEL],
        )

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)

    def purge(self, by: str = "root", **order: Any) -> Any:
        return self.do(self.purger.purge(PurgeRequest(**order), by))

    def writes(self) -> list[tuple[str, ...]]:
        return [entry for entry in self.memory.journal if entry[0] not in LOOKING]

    def namespace(self, frozen: bool = False, entries: int = 2) -> None:
        async def made() -> None:
            await self.memory.namespace_store.create(Namespace("paper", 1.0))
            for i in range(entries):
                await self.memory.namespace_store.put("paper", f"{i:064x}", b"x")
            if frozen:
                await self.memory.namespace_store.freeze("paper", 2.0)

        self.do(made())
        self.memory.journal.clear()


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.mark.parametrize(
    "order, effect",
    [
        ({}, ("purge_store.purge", "", "False", "None")),
        ({"model": MODEL}, ("purge_store.purge", MODEL, "False", "None")),
        ({"soft": True}, ("purge_store.purge", "", "True", "None")),
        ({"older_than_s": 60.0}, ("purge_store.purge", "", "False", "60.0")),
        ({"model": MODEL, "older_than_s": 60.0, "soft": True}, ("purge_store.purge", MODEL, "True", "60.0")),
    ],
)
def test_a_purge_of_the_cache_is_on_record_first_and_is_what_was_ordered(
    office: Office, order: dict[str, Any], effect: tuple[str, ...]
) -> None:
    assert office.purge(**order) is None
    assert office.writes() == [("audit.append", "cache_purged"), effect]
    assert office.memory.audit.events[0].facts == {"by": "root", "namespace": "default", **order}


def test_one_entry_is_purged_by_a_mark_that_stands_though_it_be_put_back_and_is_deleted(office: Office) -> None:
    office.memory.cache.entries[KEY] = (b"x", 4e9)
    office.purge(key=KEY)
    assert office.writes() == [
        ("audit.append", "cache_purged"),
        ("purge_store.purge", "", "False", "None", KEY),
        ("cache.delete", KEY),
    ]
    assert KEY not in office.memory.cache.entries


def test_a_live_namespace_is_emptied_and_every_worker_is_told(office: Office) -> None:
    office.namespace()
    assert office.purge(namespace="paper") == 2
    assert office.writes() == [
        ("audit.append", "cache_purged"),
        ("namespace_store.touch",),
        ("namespace_store.empty", "paper"),
        ("namespace_store.touch",),
    ]


def test_a_frozen_namespace_is_not_emptied_and_leaves_no_record_of_it(office: Office) -> None:
    office.namespace(frozen=True)
    with pytest.raises(InvalidArgument, match="frozen"):
        office.purge(namespace="paper")
    assert office.writes() == []


@pytest.mark.parametrize("frozen", [False, True])
def test_one_entry_is_taken_out_of_any_namespace(office: Office, frozen: bool) -> None:
    office.namespace(frozen=frozen)
    assert office.purge(namespace="paper", key=f"{1:064x}") == 1
    writes = ["audit.append", "namespace_store.touch", "namespace_store.remove", "namespace_store.touch"]
    assert [effect[0] for effect in office.writes()] == writes
    # As often as one likes: the workers are told each time.
    assert office.purge(namespace="paper", key=f"{1:064x}") == 0
    assert [effect[0] for effect in office.writes()] == writes * 2


@pytest.mark.parametrize("order", [{}, {"key": f"{1:064x}"}])
@pytest.mark.parametrize("lost", ["touch", "empty", "remove"])
def test_a_purge_of_a_namespace_that_was_cut_off_can_be_repeated_and_is_whole_then(
    office: Office, order: dict[str, Any], lost: str
) -> None:
    office.namespace()
    kind = "remove" if order else "empty"
    office.memory.namespace_store.reply_lost.add(lost if lost == "touch" else kind)
    with pytest.raises(StoreUnavailable):
        office.purge(namespace="paper", **order)
    office.memory.namespace_store.reply_lost.clear()
    office.memory.journal.clear()
    office.purge(namespace="paper", **order)
    assert [effect[0] for effect in office.writes()][-3:] == [
        "namespace_store.touch",
        f"namespace_store.{kind}",
        "namespace_store.touch",
    ]


@pytest.mark.parametrize("order", [{}, {"key": f"{1:064x}"}])
def test_a_purge_of_a_namespace_has_no_need_of_the_cache_store(office: Office, order: dict[str, Any]) -> None:
    office.namespace()
    office.memory.cache.lost.add("*")
    office.memory.purge_store.lost.add("*")
    assert office.purge(namespace="paper", **order) == (1 if order else 2)


def test_a_purge_of_one_entry_stands_though_the_entry_cannot_be_deleted(office: Office) -> None:
    office.memory.cache.lost.add("delete")
    office.purge(key=KEY)
    assert office.memory.purge_store.standing.keys.keys() == {KEY}


@pytest.mark.parametrize(
    "order, said",
    [
        ({"model": "esm3-opne"}, "not a model"),
        ({"older_than_s": 0.0}, "greater than 0"),
        ({"older_than_s": float("nan")}, "greater than 0"),
        ({"older_than_s": float("inf")}, "greater than 0"),
        ({"model": MODEL, "older_than_s": 60.0}, "must be soft"),
        ({"key": "abc"}, "64 digits"),
        ({"key": KEY.upper()}, "64 digits"),
        ({"key": KEY, "soft": True}, "do not apply"),
        ({"key": KEY, "model": MODEL}, "do not apply"),
        ({"namespace": "paper", "soft": True}, "do not apply"),
        ({"namespace": "paper", "older_than_s": 60.0}, "do not apply"),
        ({"namespace": "nowhere"}, "no namespace"),
        ({"by": "a b"}, "letters"),
    ],
)
def test_a_purge_that_cannot_be_meant_is_refused_and_leaves_no_trace(
    office: Office, order: dict[str, Any], said: str
) -> None:
    office.namespace()
    with pytest.raises(InvalidArgument, match=said):
        office.purge(**order)
    assert office.writes() == []


@pytest.mark.parametrize(
    "order", [{}, {"key": KEY}, {"namespace": "paper"}, {"namespace": "paper", "key": f"{0:064x}"}]
)
def test_without_the_audit_nothing_is_forgotten(office: Office, order: dict[str, Any]) -> None:
    office.namespace()
    office.memory.audit.lost.add("*")
    with pytest.raises(AuditUnavailable):
        office.purge(**order)
    assert [effect[0] for effect in office.writes()] == ["audit.append"]


def test_a_store_that_is_lost_is_told_not_hidden(office: Office) -> None:
    office.memory.purge_store.lost.add("purge")
    with pytest.raises(StoreUnavailable):
        office.purge()
