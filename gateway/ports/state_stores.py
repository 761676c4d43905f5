"""What must not be lost: keys, approvals, quotas, the audit record. Each class says what happens without its store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.audit import Event
from gateway.core.quota import Limit, Reservation, Verdict
from gateway.core.types import Approval, KeyRecord


class StoreUnavailable(Exception):
    """A store did not answer in time or at all. Carries the operation's name, never a value."""


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

    async def return_rate(self, subject: str, limits: tuple[Limit, ...], count: int) -> None:
        """Give back requests that were charged in advance and not used."""
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
