"""What an administrator changes, and that the record of it stands before the change."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from gateway.core import credentials
from gateway.core.audit import verify
from gateway.core.audit_kinds import AUDIT_KINDS
from gateway.core.types import Limits
from gateway.flow.admin_arguments import InvalidArgument
from gateway.flow.key_admin import MAX_APPROVAL_S, KeyAdmin, NewKey
from gateway.ports import AuditUnavailable, StateClosed, StoreUnavailable
from tests.fakes.world import FakeWorld

PEPPER = b"p" * 32
MODEL = "esm3-open-2024-03"
CHANGES = ("directory.put_key", "directory.put_grant")


class Office:
    def __init__(self) -> None:
        self.memory = FakeWorld()
        self.admin = KeyAdmin(
            directory=self.memory.directory,
            decisions=self.memory.decisions,
            audit=self.memory.audit,
            clock=self.memory.clock,
            key_pepper=PEPPER,
            models=[MODEL],
        )

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)

    def writes(self) -> list[str]:
        return [effect for effect in self.memory.effects() if effect in (*CHANGES, "audit.append")]

    def approve(self, **changes: Any) -> Any:
        wanted: dict[str, Any] = {
            "user": "ada",
            "approved_by": ("grace", "edsger"),
            "reason": "toxin panel",
            "until": self.memory.clock.now() + 3600,
            "models": None,
        }
        return self.do(self.admin.approve(**{**wanted, **changes}))


@pytest.fixture
def office() -> Office:
    return Office()


def test_the_text_of_a_new_key_is_the_one_whose_digest_is_stored_and_is_stored_nowhere(office: Office) -> None:
    record, text = office.do(office.admin.create_key(NewKey("ada", "lab", label="laptop"), by="root"))
    key = credentials.parse(text)
    assert key is not None
    assert key.public_id == record.public_id
    assert credentials.matches(PEPPER, key, office.memory.directory.records[record.public_id].digest)
    secret = text.rpartition("_")[2]
    assert secret not in repr(office.memory.directory.records)
    assert secret.encode() not in b"".join(office.memory.audit.lines)


def test_two_keys_are_never_the_same(office: Office) -> None:
    texts = {office.do(office.admin.create_key(NewKey("ada", "lab"), by="root"))[1] for _ in range(20)}
    assert len(texts) == 20


def test_a_key_keeps_what_was_ordered(office: Office) -> None:
    order = NewKey("ada", "lab", (MODEL,), office.memory.clock.now() + 60, Limits(5, 6, 7, 8), "laptop")
    record, _ = office.do(office.admin.create_key(order, by="root"))
    kept = (record.user, record.team, record.models, record.expires, record.limits, record.label)
    assert kept == (order.user, order.team, order.models, order.expires, order.limits, order.label)


def test_every_change_is_on_record_before_it_takes_effect(office: Office) -> None:
    record, _ = office.do(office.admin.create_key(NewKey("ada", "lab"), by="root"))
    office.do(office.admin.revoke_key(record.public_id, by="root"))
    office.approve()
    office.do(office.admin.revoke_approval("ada", by="root"))
    changes = ["directory.put_key"] * 2 + ["directory.put_grant"] * 2
    assert office.writes() == [effect for change in changes for effect in ("audit.append", change)]
    kinds = [event.kind for event in office.memory.audit.events]
    assert kinds == ["key_created", "key_revoked", "approval_created", "approval_revoked"]
    assert set(kinds) <= set(AUDIT_KINDS)


def test_the_records_form_a_chain_that_verifies(office: Office) -> None:
    office.do(office.admin.create_key(NewKey("ada", "lab", (MODEL,), limits=Limits(1)), by="root"))
    office.approve(models=(MODEL,))
    head = verify(b"audit", office.memory.audit.lines)
    assert getattr(head, "seq", head) == 2


def test_without_the_audit_nothing_changes(office: Office) -> None:
    record, _ = office.do(office.admin.create_key(NewKey("ada", "lab"), by="root"))
    office.approve()
    before = office.writes()
    office.memory.audit.lost.add("*")
    for work in (
        office.admin.create_key(NewKey("ada", "lab"), by="root"),
        office.admin.revoke_key(record.public_id, by="root"),
        office.admin.revoke_approval("ada", by="root"),
    ):
        with pytest.raises(AuditUnavailable):
            office.do(work)
    with pytest.raises(AuditUnavailable):
        office.approve()
    assert [effect for effect in office.writes()[len(before) :] if effect != "audit.append"] == []
    assert office.memory.directory.records[record.public_id].revoked is None


def test_a_lost_store_is_told_not_hidden(office: Office) -> None:
    office.memory.directory.lost.add("put_key")
    with pytest.raises(StoreUnavailable):
        office.do(office.admin.create_key(NewKey("ada", "lab"), by="root"))


def test_a_revoked_key_stays_revoked_since_the_first_time(office: Office) -> None:
    record, _ = office.do(office.admin.create_key(NewKey("ada", "lab"), by="root"))
    first = office.do(office.admin.revoke_key(record.public_id, by="root"))
    office.memory.clock.advance(100)
    assert office.do(office.admin.revoke_key(record.public_id, by="root")) == first
    assert first == replace(record, revoked=first.revoked)


def test_an_unknown_key_cannot_be_revoked(office: Office) -> None:
    with pytest.raises(InvalidArgument, match="no key"):
        office.do(office.admin.revoke_key("nothere", by="root"))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"approved_by": ("grace",)}, "two different people"),
        ({"approved_by": ("grace", "grace")}, "two different people"),
        ({"approved_by": ("grace", " Grace ")}, "two different people"),
        ({"approved_by": ("grace", "ada")}, "approve themselves"),
        ({"approved_by": ("grace", "ADA", "edsger")}, "approve themselves"),
        ({"reason": "  "}, "needs a reason"),
        ({"reason": "a\nb"}, "printable"),
        ({"until": 5.0}, "end in the future"),
        ({"until": 1_800_000_000.0 + MAX_APPROVAL_S + 1}, "within a year"),
        ({"until": float("nan")}, "end in the future"),
        ({"models": ("esm3-opne",)}, "not a model"),
        ({"models": ()}, "empty"),
        ({"user": "a da"}, "letters"),
    ],
)
def test_an_approval_that_must_not_be_is_refused_and_leaves_no_trace(
    office: Office, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidArgument, match=said):
        office.approve(**changes)
    assert office.writes() == []


@pytest.mark.parametrize(
    "order, said",
    [
        (NewKey("", "lab"), "user"),
        (NewKey("a{b}", "lab"), "user"),
        (NewKey("ada", "la b"), "team"),
        (NewKey("ada", "lab", label="x" * 501), "label"),
        (NewKey("ada", "lab", expires=1.0), "future"),
        (NewKey("ada", "lab", models=("other",)), "not a model"),
        (NewKey("ada", "lab", expires=1_800_000_000.0 + 3_655 * 86_400), "within ten years"),
        (NewKey("ada", "lab", expires=float("nan")), "within ten years"),
        (NewKey("ada", "lab", limits=Limits(burst=5)), "A burst limits nothing"),
        (NewKey("ada", "lab", limits=Limits(requests_per_minute=0)), "between 1 and"),
        (NewKey("ada", "lab", limits=Limits(units_per_day=-1)), "between 0 and"),
        (NewKey("ada", "lab", limits=Limits(concurrent=10**12 + 1)), "between 1 and"),
    ],
)
def test_a_key_that_must_not_be_is_refused_and_leaves_no_trace(office: Office, order: NewKey, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        office.do(office.admin.create_key(order, by="root"))
    assert office.writes() == []


def test_revoking_one_approval_leaves_the_others(office: Office) -> None:
    one, two = office.approve(), office.approve(reason="second")
    office.do(office.admin.revoke_approval("ada", by="root", approval_id=one.approval_id))
    standing = {
        approval.approval_id for approval in office.do(office.admin.approvals("ada")) if office.admin.in_force(approval)
    }
    assert standing == {two.approval_id}


def test_what_has_ended_cannot_be_revoked_again(office: Office) -> None:
    office.approve()
    office.do(office.admin.revoke_approval("ada", by="root"))
    with pytest.raises(InvalidArgument, match="no such approval"):
        office.do(office.admin.revoke_approval("ada", by="root"))


def test_keys_are_listed_for_one_user_oldest_first(office: Office) -> None:
    for user in ("ada", "bob", "ada"):
        office.do(office.admin.create_key(NewKey(user, "lab"), by="root"))
        office.memory.clock.advance(1)
    assert [key.user for key in office.do(office.admin.keys())] == ["ada", "bob", "ada"]
    created = [key.created for key in office.do(office.admin.keys("ada"))]
    assert created == sorted(created)
    assert len(created) == 2


def test_while_the_state_store_is_closed_nothing_changes_and_nothing_is_on_record(office: Office) -> None:
    record, _ = office.do(office.admin.create_key(NewKey("ada", "lab"), by="root"))
    before = office.writes()
    office.memory.decisions.closed = True
    for work in (
        office.admin.create_key(NewKey("ada", "lab"), by="root"),
        office.admin.revoke_key(record.public_id, by="root"),
    ):
        with pytest.raises(StateClosed):
            office.do(work)
    with pytest.raises(StateClosed):
        office.approve()
    assert office.writes() == before


def test_a_decision_is_kept_before_the_record_that_it_changes(office: Office) -> None:
    record, _ = office.do(office.admin.create_key(NewKey("ada", "lab"), by="root"))
    approval = office.approve()
    office.memory.directory.lost.update({"put_key", "put_approval", "put_grant"})
    with pytest.raises(StoreUnavailable):
        office.do(office.admin.revoke_key(record.public_id, by="root"))
    with pytest.raises(StoreUnavailable):
        office.do(office.admin.revoke_approval("ada", by="root"))
    assert set(office.memory.decisions.held) == {f"key:{record.public_id}", f"approval:ada:{approval.approval_id}"}
    numbers = [event.facts["number"] for event in office.memory.audit.events if "number" in event.facts]
    assert numbers == [1, 2]
