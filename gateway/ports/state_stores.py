"""What must not be lost: keys, approvals, quotas, the audit record. Each class says what happens without its store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.audit import Event
from gateway.core.decisions import Acceptance, FinalDecision, Marks
from gateway.core.quota import Limit, Reservation, Verdict
from gateway.core.store_faults import StoreFault
from gateway.core.types import Approval, KeyRecord


class StoreUnavailable(Exception):
    """A store did not answer in time or at all, or with what the gateway did not write there.

    Carries the operation's name and why; `detail` is a sentence about the server. Never a value.
    """

    def __init__(self, operation: str, fault: StoreFault = "error", detail: str = "") -> None:
        super().__init__(operation)
        self.fault: StoreFault = fault
        self.detail = detail


class StoreProbe(Protocol):
    """A store as a server. Every method raises StoreUnavailable with the reason."""

    @property
    def warnings(self) -> Sequence[str]:
        """What was wrong with it when it was last looked at, without making it unfit."""
        ...

    async def check(self) -> Sequence[str]:
        """Whether it is the right server, and fit for its use; returns warnings."""
        ...

    async def try_change(self) -> None:
        """Whether it takes changes, from a user who may make all of them."""
        ...


class StateClosed(StoreUnavailable):
    """The state store answers, and is not the one that this instance knew: the text says why, for the operator."""


class AuditUnavailable(Exception):
    """The audit record could not be made durable."""


class Directory(Protocol):
    """Virtual keys and approvals (state store). Lost: StoreUnavailable, and unknown keys are refused with 503."""

    async def find(self, public_id: str) -> tuple[KeyRecord, tuple[Approval, ...]] | None:
        """The record and the user's approvals (revoked and expired ones included), from the store, authenticated."""
        ...

    async def epoch(self) -> int:
        """A number that grows with every change of any key or approval."""
        ...

    async def put_key(self, record: KeyRecord) -> None: ...
    async def rehash(self, public_id: str, before: str, digest: str) -> bool:
        """Replace a key's digest where it is still `before`; False otherwise. No change that the epoch tells of."""
        ...

    async def put_approval(self, approval: Approval) -> None: ...
    async def keys(self) -> Sequence[KeyRecord]: ...
    async def approvals(self, user: str) -> Sequence[Approval]: ...


class DecisionStore(Protocol):
    """Decisions that narrow, beside what they are about (state store). Lost: StoreUnavailable; those known hold on."""

    async def subjects(self) -> frozenset[str]:
        """What decisions there are about, genuine or not."""
        ...

    async def read(self, subjects: Sequence[str]) -> Sequence[FinalDecision]:
        """The genuine ones among them; others are counted."""
        ...

    async def add(self, decisions: Sequence[FinalDecision]) -> int:
        """Put them there, whatever is; returns how many subjects are new. The directory's epoch grows."""
        ...

    async def keys_held(self) -> int:
        """How many virtual keys the directory holds, genuine or not."""
        ...

    async def acceptance(self) -> Acceptance | None: ...
    async def accept(self, acceptance: Acceptance) -> None: ...


class DecisionMemory(Protocol):
    """What this machine remembers of the state store. OSError where its disk fails."""

    def load(self) -> Marks | None: ...
    def changed(self) -> bool:
        """Whether somebody else has added to it since it was last read or written here. Cheap."""
        ...

    def merge(self, marks: Marks) -> Marks:
        """Add what is new; returns all that is remembered. Durable when it returns."""
        ...


class Decisions(Protocol):
    """What an administrator decides for good is kept here before the record that it changes."""

    def require_open(self) -> None:
        """Raises StateClosed while the store is not the one that this instance knew."""
        ...

    async def next_number(self) -> int:
        """The number that the next decision gets, or a lower one where others decide at the same moment."""
        ...

    async def decide(self, subject: str, at: float) -> None:
        """From now on it holds, whatever any store says. StoreUnavailable: it holds here, and others hear later."""
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What one limit has counted so far: units today, leases now, or requests of burst left."""

    limit: Limit
    used: int


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record of a store: what it is, its name, and whether the master secret that seals now has sealed it."""

    kind: str
    name: str
    is_current: bool


class SealedRecords(Protocol):
    """All sealed records of the state store but the entries of namespaces (state store). Lost: StoreUnavailable."""

    async def records(self) -> Sequence[SealedRecord]:
        """All that any of the masters can read."""
        ...

    async def reseal(self) -> int:
        """Seal with the present secret what another one had sealed; returns how many. What was forged stays."""
        ...


class Ledger(Protocol):
    """Quotas (state store). Lost: StoreUnavailable, and the call is refused with 503 before anything is sent."""

    async def charge_rate(self, subject: str, limits: tuple[Limit, ...], in_advance: int) -> Verdict:
        """One request of rate on all limits or none, and up to `in_advance` more where less than half is used."""
        ...

    async def return_rate(self, subject: str, limits: tuple[Limit, ...], count: int, charged_at: int) -> None:
        """Give back requests that were charged in advance and not used, less what has become free by itself since.

        `charged_at` is that of the verdict which granted them; of several, the earliest.
        """
        ...

    async def reserve(self, reservation: Reservation, lease_s: float) -> Verdict:
        """A lease on every concurrency limit and the units on every unit limit, all or nothing, once per id.

        Charged once however often it is sent. After a settle of the same id that came first, it is refused.
        """
        ...

    async def settle(self, reservation: Reservation, units: int) -> None:
        """End the leases; charge `units` in place of the reserved ones (0: refund). Once per id."""
        ...

    async def usage(self, subject: str, limits: tuple[Limit, ...]) -> Sequence[Usage]: ...


class RunCounters(Protocol):
    """Numbers of samples within runs (state store). Lost: StoreUnavailable, and the call is refused with 503.

    Counters that are used stay; of one owner a bounded number is kept, those that rest longest are forgotten.
    """

    async def next(self, owner: str, counter: str, highest: int) -> int | None:
        """The smallest number from 1 that nobody has; None where all up to `highest` are taken."""
        ...

    async def give_back(self, owner: str, counter: str, number: int) -> None:
        """Somebody else gets this number, before any new one."""
        ...


class Throttle(Protocol):
    """One event per topic, key and time (cache store). Lost: StoreUnavailable, and nothing happens at all."""

    async def first(self, topic: str, key: str, ttl_s: float) -> bool:
        """Whether no worker has asked this within `ttl_s`; the one that gets True acts."""
        ...


class AuditLog(Protocol):
    """The chained record. Lost: AuditUnavailable, before the recorded act takes place."""

    async def append(self, event: Event) -> int:
        """Durable (fsynced) when it returns; returns the record's sequence number."""
        ...
