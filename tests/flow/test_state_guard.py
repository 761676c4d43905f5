"""The state store after a restore, a failover, or somebody's hand: what was decided holds, and is put back."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from gateway.core.decisions import Acceptance, FinalDecision, of_approval, of_key, of_namespace
from gateway.core.metrics import DECISIONS_REAPPLIED, STATE_CLOSED
from gateway.core.quota import Reservation
from gateway.core.types import Approval, KeyRecord, Namespace
from gateway.flow.narrowing import GuardedLedger, NarrowedDirectory, NarrowedNamespaces, standing
from gateway.flow.state_guard import StateGuard
from gateway.ports import AuditUnavailable, StateClosed, StoreUnavailable
from tests.fakes.stores import FakeDecisions, FakeDirectory, FakeMemory
from tests.fakes.world import FakeWorld

KEY = KeyRecord("k1", "0" * 64, "ada", "lab", 1.0)
GRANT = Approval("g1", "ada", ("bea", "carl"), "r", 1.0, 4e9)
PAPER = Namespace("paper", 5.0)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


class Machine:
    """One instance: its memory outlives the store, and its processes."""

    def __init__(self, world: FakeWorld | None = None) -> None:
        self.world, self.memory = world or FakeWorld(), FakeMemory()
        self.said: list[str] = []
        self.started()

    def started(self) -> "Machine":
        w = self.world
        inner = partial(standing, w.directory, w.namespace_store)
        self.guard = StateGuard(w.decisions, self.memory, inner, w.audit, w.clock, w.meter, self.said.append)
        self.directory = NarrowedDirectory(w.directory, self.guard)
        self.namespaces = NarrowedNamespaces(w.namespace_store, self.guard)
        self.ledger = GuardedLedger(w.ledger, self.guard)
        run(self.guard.remember())
        return self

    def keys(self, *records: KeyRecord) -> None:
        for record in records:
            run(self.world.directory.put_key(record))
        self.world.decisions.keys = len(self.world.directory.records)

    def look(self) -> None:
        """As the poller does when the epoch moves."""
        self.world.directory.changes += 1
        run(self.directory.epoch())

    def decided(self) -> "Machine":
        """A key, an approval and a namespace, all three ended, with the store as it was before that put back."""
        self.keys(KEY)
        run(self.world.directory.put_approval(GRANT))
        run(self.world.namespace_store.create(PAPER))
        self.look()
        for subject in (of_key("k1"), of_approval("ada", "g1"), of_namespace("paper", 5.0)):
            run(self.guard.decide(subject, 100.0))
        return self

    def reapplied(self, what: str) -> dict[str, float]:
        name, counts = DECISIONS_REAPPLIED.name, self.world.meter.counts
        return {kind: counts[name, kind, what] for kind in ("key", "approval", "namespace")}


def test_an_older_store_revives_nothing_and_gets_back_what_it_lacks() -> None:
    machine = Machine().decided()
    machine.world.decisions.held.clear()
    machine.started().look()
    record, approvals = run(machine.directory.find("k1"))
    assert (record.revoked, approvals[0].revoked) == (100.0, 100.0)
    assert run(machine.namespaces.namespaces())["paper"].frozen == 100.0
    assert machine.world.decisions.held.keys() == {"key:k1", "approval:ada:g1", "namespace:paper:5.0"}
    assert machine.reapplied("decision") == {"key": 1, "approval": 1, "namespace": 1}
    assert "lacked 3 decisions (key 1, approval 1, namespace 1)" in machine.said[0]
    (event,) = [event for event in machine.world.audit.events if event.facts["count"] == 3]
    assert event.kind == "decisions_reapplied"
    assert sorted(event.facts["decisions"]) == sorted(machine.world.decisions.held)


def test_an_old_record_that_somebody_wrote_is_put_right_at_its_next_use_logged_and_counted() -> None:
    machine = Machine().decided()
    for _ in range(2):
        assert run(machine.directory.find("k1"))[0].revoked == 100.0
        run(machine.namespaces.namespaces())
    assert machine.world.directory.records["k1"].revoked == 100.0
    assert machine.world.directory.granted["ada"]["g1"].revoked == 100.0
    assert machine.world.namespace_store.named["paper"].frozen == 100.0
    assert machine.reapplied("record") == {"key": 1, "approval": 1, "namespace": 1}
    assert sum("had undone a decision" in line for line in machine.said) == 3
    machine.keys(KEY)
    assert [key.revoked for key in run(machine.directory.keys())] == [100.0]
    assert run(machine.directory.approvals("ada"))[0].revoked == 100.0


def test_a_worker_that_runs_needs_no_store_to_go_on_obeying() -> None:
    machine = Machine().decided()
    machine.world.decisions.lost.add("*")
    machine.world.audit.lost.add("*")
    assert run(machine.directory.find("k1"))[0].revoked == 100.0


def test_another_machine_hears_of_a_decision_with_the_next_change_and_remembers_it() -> None:
    here = Machine().decided()
    there = Machine(here.world)
    there.look()
    assert there.memory.marks is not None
    assert there.memory.marks.decisions.keys() == here.guard.marks.decisions.keys()
    here.world.decisions.held.clear()
    there.started().look()
    assert run(there.directory.find("k1"))[0].revoked == 100.0


def test_a_later_namespace_of_the_same_name_is_not_frozen_and_other_keys_are_not_revoked() -> None:
    machine = Machine().decided()
    machine.keys(replace(KEY, public_id="k2"))
    run(machine.world.namespace_store.drop("paper"))
    run(machine.world.namespace_store.create(replace(PAPER, created=6.0)))
    assert run(machine.namespaces.namespaces())["paper"].frozen is None
    assert run(machine.directory.find("k2"))[0].revoked is None


def test_what_an_older_version_left_in_records_alone_is_kept_from_then_on() -> None:
    machine = Machine()
    machine.keys(replace(KEY, revoked=7.0), replace(KEY, public_id="k2"))
    run(machine.world.directory.put_approval(replace(GRANT, revoked=8.0)))
    run(machine.world.namespace_store.create(PAPER))
    run(machine.world.namespace_store.freeze("paper", 9.0))
    machine.look()
    assert {subject: decision.at for subject, decision in machine.world.decisions.held.items()} == {
        "key:k1": 7.0,
        "approval:ada:g1": 8.0,
        "namespace:paper:5.0": 9.0,
    }
    assert machine.said == []
    looked = machine.world.effects().count("directory.keys")
    machine.started().look()
    assert machine.world.effects().count("directory.keys") == looked


def closed(machine: Machine) -> None:
    with pytest.raises(StateClosed):
        run(machine.directory.epoch())
    for work in (
        machine.directory.find("k1"),
        machine.directory.put_key(KEY),
        machine.namespaces.create(PAPER),
        machine.ledger.reserve(Reservation("r", "ada", (), 1), 5.0),
        machine.guard.next_number(),
        machine.guard.decide("key:k2", 1.0),
    ):
        with pytest.raises(StateClosed):
            run(work)
    assert machine.world.meter.gauges[(STATE_CLOSED.name,)] == 1.0


def emptied(machine: Machine) -> None:
    world = machine.world
    world.directory, world.decisions = FakeDirectory(world.journal), FakeDecisions(world.journal)


def test_an_empty_store_where_keys_were_admits_nothing_new_until_that_is_accepted() -> None:
    machine = Machine().decided()
    emptied(machine)
    machine.started()
    closed(machine)
    assert machine.world.decisions.held == {}
    assert machine.said == ["nothing new is admitted: the state store holds no keys, and it held 1"]
    run(machine.guard.accept("grace"))
    run(machine.directory.epoch())
    assert machine.guard.closed == ""
    event = [event for event in machine.world.audit.events if event.kind == "state_accepted"][-1]
    assert (event.facts["by"], event.facts["keys"], event.facts["held"]) == ("grace", 1, 0)
    assert "key:k1" in machine.world.decisions.held
    machine.started()
    run(machine.directory.epoch())
    assert machine.guard.closed == ""


def test_a_running_worker_notices_an_empty_store_and_one_that_is_accepted_elsewhere() -> None:
    here = Machine().decided()
    there = Machine(here.world)
    there.look()
    emptied(here)
    here.started()
    there.started()
    closed(there)
    closed(here)
    run(here.guard.accept("grace"))
    run(there.directory.epoch())
    assert there.guard.closed == ""
    assert there.world.meter.gauges[(STATE_CLOSED.name,)] == 0.0


def test_an_acceptance_put_back_later_opens_nothing() -> None:
    machine = Machine().decided()
    emptied(machine)
    machine.started()
    run(machine.guard.accept("grace"))
    old = machine.world.decisions.accepted
    machine.world.clock.advance(10.0)
    machine.keys(KEY)
    machine.look()
    emptied(machine)
    machine.world.decisions.accepted = old
    machine.started()
    closed(machine)


def test_without_the_audit_record_nothing_is_accepted() -> None:
    machine = Machine().decided()
    emptied(machine)
    machine.started()
    machine.world.audit.lost.add("*")
    with pytest.raises(AuditUnavailable):
        run(machine.guard.accept("grace"))
    closed(machine)


def test_a_decision_of_which_only_the_number_is_known_admits_nothing_new_and_is_accepted_by_number() -> None:
    machine = Machine().decided()
    held = machine.world.decisions.held
    held["key:k9"] = FinalDecision("key:k9", 50.0, 5)
    with pytest.raises(StateClosed, match=r"1 decisions that nothing here explains \(number 4\)"):
        machine.look()
    run(machine.guard.accept("grace"))
    machine.look()
    held["key:k10"] = FinalDecision("key:k10", 51.0, 7)
    with pytest.raises(StateClosed, match="number 6"):
        machine.look()


def test_what_is_known_is_put_back_also_while_something_else_is_missing() -> None:
    machine = Machine().decided()
    held = machine.world.decisions.held
    held.clear()
    held["key:k9"] = FinalDecision("key:k9", 50.0, 5)
    with pytest.raises(StateClosed):
        machine.look()
    assert set(held) == {"key:k1", "approval:ada:g1", "namespace:paper:5.0", "key:k9"}


def test_a_store_with_fewer_keys_is_an_older_one_and_goes_on() -> None:
    machine = Machine()
    machine.keys(KEY, replace(KEY, public_id="k2"))
    machine.look()
    machine.world.decisions.keys = 1
    machine.look()
    assert machine.said == ["the state store holds 1 keys fewer than it did: it is an older one"]
    assert machine.guard.closed == ""


def test_a_store_that_does_not_answer_changes_nothing_here() -> None:
    machine = Machine().decided()
    before = machine.guard.marks
    machine.world.decisions.lost.add("subjects")
    with pytest.raises(StoreUnavailable):
        machine.look()
    assert machine.guard.marks == before
    assert machine.guard.closed == ""


def test_a_decision_that_the_store_did_not_take_holds_here_and_is_put_there_later() -> None:
    machine = Machine()
    machine.keys(KEY)
    machine.look()
    machine.world.decisions.lost.add("add")
    with pytest.raises(StoreUnavailable):
        run(machine.guard.decide("key:k1", 100.0))
    assert run(machine.directory.find("k1"))[0].revoked == 100.0
    machine.world.decisions.lost.clear()
    machine.started().look()
    assert "key:k1" in machine.world.decisions.held


def test_a_decision_that_a_command_left_on_this_machine_alone_reaches_its_workers() -> None:
    """A failover lost it before anybody had read it: the epoch is the same as before."""
    worker = Machine()
    worker.keys(KEY)
    worker.look()
    assert worker.memory.marks is not None
    worker.memory.marks = worker.memory.marks.with_decisions([FinalDecision("key:k1", 100.0, 1)])
    epoch = worker.world.directory.changes
    assert run(worker.directory.epoch()) == epoch
    assert run(worker.directory.find("k1"))[0].revoked == 100.0
    assert "key:k1" in worker.world.decisions.held


def test_a_store_that_was_away_is_looked_at_again_whatever_its_epoch() -> None:
    machine = Machine().decided()
    machine.look()
    machine.world.directory.lost.add("epoch")
    with pytest.raises(StoreUnavailable):
        run(machine.directory.epoch())
    machine.world.directory.lost.clear()
    machine.world.decisions.held.clear()
    run(machine.directory.epoch())
    assert len(machine.world.decisions.held) == 3


def test_a_disk_that_is_full_does_not_keep_a_worker_from_hearing() -> None:
    machine = Machine().decided()
    there = Machine(machine.world)

    def full(_: Any) -> Any:
        raise OSError(28, "No space left on device")

    there.memory.merge = full  # type: ignore[assignment,method-assign]
    there.look()
    assert run(there.directory.find("k1"))[0].revoked == 100.0
    assert any("No space left" in line for line in there.said)


def test_numbers_go_on_where_the_store_was_put_back() -> None:
    machine = Machine().decided()
    assert run(machine.guard.next_number()) == 4
    machine.world.decisions.held.clear()
    machine.started()
    assert run(machine.guard.next_number()) == 4
    assert sorted(each.number for each in machine.world.decisions.held.values()) == [1, 2, 3]


def test_no_more_is_accepted_than_what_was_known() -> None:
    machine = Machine().decided()
    machine.world.decisions.accepted = Acceptance(1e12, 99, 99)
    machine.look()
    assert machine.guard.marks.accepted == 3


def test_the_record_of_what_was_put_back_names_the_first_few_alone() -> None:
    machine = Machine()
    machine.keys(KEY)
    machine.look()
    for number in range(30):
        run(machine.guard.decide(of_key(f"x{number}"), 1.0))
    machine.world.decisions.held.clear()
    machine.started().look()
    event = machine.world.audit.events[-1]
    assert (event.facts["count"], len(event.facts["decisions"])) == (30, 20)
