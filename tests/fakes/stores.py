"""The stores and the audit log in this process's memory, each effect written into a journal: for tests.

They keep the promises of the real ones (one contract suite runs on both) and can be lost on purpose, before or after
they have taken effect. The gateway never runs on these: nothing here outlives the process or is shared with another.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from gateway.core.audit import ChainHead, Event, link
from gateway.core.audit_kinds import AUDIT_KINDS
from gateway.core.decisions import Acceptance, FinalDecision, Marks
from gateway.core.quota import Limit, Reservation, Verdict
from gateway.core.types import Approval, KeyRecord
from gateway.ports import AuditUnavailable, StateClosed, StoreUnavailable, Usage
from tests.fakes.ledger import LedgerRules

Journal = list[tuple[str, ...]]


class Recorder:
    """Writes effects down as (`<part>.<operation>`, details...) and loses those that a test wants lost.

    `lost`: operations ("reserve", or "*" for all) that fail before they have any effect; `reply_lost`: operations
    that take effect and then fail. The first is written down with the detail "lost", the second as usual.
    """

    part = ""
    error: type[Exception] = StoreUnavailable

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.lost: set[str] = set()
        self.reply_lost: set[str] = set()

    @contextmanager
    def effect(self, operation: str, *details: object) -> Iterator[None]:
        name = f"{self.part}.{operation}"
        if self.lost & {operation, "*"}:
            self.journal.append((name, "lost"))
            raise self.error(operation)
        self.journal.append((name, *map(str, details)))
        yield
        if self.reply_lost & {operation, "*"}:
            raise self.error(operation)


class FakeDirectory(Recorder):
    part = "directory"

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.records: dict[str, KeyRecord] = {}
        self.granted: dict[str, dict[str, Approval]] = {}
        self.changes = 0

    async def find(self, public_id: str) -> tuple[KeyRecord, tuple[Approval, ...]] | None:
        with self.effect("find", public_id):
            record = self.records.get(public_id)
            return None if record is None else (record, tuple(self.granted.get(record.user, {}).values()))

    async def epoch(self) -> int:
        with self.effect("epoch"):
            return self.changes

    async def put_key(self, record: KeyRecord) -> None:
        with self.effect("put_key", record.public_id):
            self.records[record.public_id] = record
            self.changes += 1

    async def rehash(self, public_id: str, before: str, digest: str) -> bool:
        with self.effect("rehash", public_id):
            record = self.records.get(public_id)
            if record is None or record.digest != before:
                return False
            self.records[public_id] = replace(record, digest=digest)
            return True

    async def put_approval(self, approval: Approval) -> None:
        with self.effect("put_grant", approval.approval_id):
            self.granted.setdefault(approval.user, {})[approval.approval_id] = approval
            self.changes += 1

    async def keys(self) -> Sequence[KeyRecord]:
        with self.effect("keys"):
            return tuple(self.records.values())

    async def approvals(self, user: str) -> Sequence[Approval]:
        with self.effect("approvals", user):
            return tuple(self.granted.get(user, {}).values())


class FakeDecisions(Recorder):
    """The store of decisions, and what an administrator's commands need of it (`ports.Decisions`)."""

    part = "decisions"

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.held: dict[str, FinalDecision] = {}
        self.keys = 0
        self.closed = False
        self.accepted: Acceptance | None = None

    async def subjects(self) -> frozenset[str]:
        with self.effect("subjects"):
            return frozenset(self.held)

    async def read(self, subjects: Sequence[str]) -> Sequence[FinalDecision]:
        with self.effect("read"):
            return [self.held[subject] for subject in subjects if subject in self.held]

    async def add(self, decisions: Sequence[FinalDecision]) -> int:
        with self.effect("add", *(decision.subject for decision in decisions)):
            new = [decision for decision in decisions if decision.subject not in self.held]
            self.held.update({decision.subject: decision for decision in decisions})
            return len(new)

    async def keys_held(self) -> int:
        with self.effect("keys_held"):
            return self.keys

    async def acceptance(self) -> Acceptance | None:
        with self.effect("acceptance"):
            return self.accepted

    async def accept(self, acceptance: Acceptance) -> None:
        with self.effect("accept"):
            self.accepted = acceptance

    def require_open(self) -> None:
        if self.closed:
            raise StateClosed("lost")

    async def next_number(self) -> int:
        with self.effect("next_number"):
            return len(self.held) + 1

    async def decide(self, subject: str, at: float) -> None:
        with self.effect("decide", subject):
            self.held[subject] = FinalDecision(subject, at, len(self.held) + 1)


class FakeMemory:
    """What a machine remembers; `marks` None: nothing yet."""

    def __init__(self) -> None:
        self.marks: Marks | None = None
        self.seen: Marks | None = None

    def load(self) -> Marks | None:
        self.seen = self.marks
        return self.marks

    def changed(self) -> bool:
        return self.seen != self.marks

    def merge(self, marks: Marks) -> Marks:
        self.seen = self.marks = marks if self.marks is None else self.marks.join(marks)
        return self.marks


class FakeLedger(Recorder):
    part = "ledger"

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        super().__init__(journal)
        self.rules = LedgerRules(now)

    async def charge_rate(self, subject: str, limits: tuple[Limit, ...], in_advance: int) -> Verdict:
        with self.effect("charge_rate", subject):
            return self.rules.charge_rate(subject, limits, in_advance)

    async def return_rate(self, subject: str, limits: tuple[Limit, ...], count: int, charged_at: int) -> None:
        with self.effect("return_rate", subject, count):
            self.rules.return_rate(subject, limits, count, charged_at)

    async def reserve(self, reservation: Reservation, lease_s: float) -> Verdict:
        with self.effect("reserve", reservation.reservation_id, reservation.units):
            return self.rules.reserve(reservation, lease_s)

    async def settle(self, reservation: Reservation, units: int) -> None:
        with self.effect("settle", reservation.reservation_id, units):
            self.rules.settle(reservation, units)

    async def usage(self, subject: str, limits: tuple[Limit, ...]) -> Sequence[Usage]:
        with self.effect("usage", subject):
            return self.rules.usage(subject, limits)


def check_event(event: Event) -> None:
    """Refuse an event that does not fit its row in `AUDIT_KINDS`: docs/audit.md is true."""
    row = AUDIT_KINDS.get(event.kind)
    assert row is not None, f"audit kind {event.kind!r} has no row in AUDIT_KINDS (gateway/core/audit_kinds.py)"
    missing, unknown = row.facts.keys() - event.facts.keys(), event.facts.keys() - {*row.facts, *row.optional}
    assert not missing | unknown, f"{event.kind}: facts missing {sorted(missing)}, not in its row {sorted(unknown)}"


class FakeAudit(Recorder):
    """A real chain, in a list."""

    part = "audit"
    error = AuditUnavailable

    def __init__(self, journal: Journal, secret: bytes = b"audit") -> None:
        super().__init__(journal)
        self.lines: list[bytes] = []
        self.events: list[Event] = []
        self._secret, self._head = secret, ChainHead()

    async def append(self, event: Event) -> int:
        check_event(event)
        with self.effect("append", event.kind):
            line, self._head = link(self._secret, self._head, event)
            self.lines.append(line)
            self.events.append(event)
            return self._head.seq
