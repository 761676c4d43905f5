"""The state store as this process believes it: what it says, narrowed by the decisions that hold whatever it says.

Each record that contradicts a decision is put right in the store, too, logged and counted. While the store is closed
(`state_guard.py`) it is as good as lost to everything new: unknown keys, reservations, an administrator's changes.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from gateway.core.decisions import FinalDecision, of_approval, of_key, of_namespace
from gateway.core.quota import Limit, Reservation, Verdict
from gateway.core.types import Approval, KeyRecord, Namespace
from gateway.flow.state_guard import StateGuard
from gateway.ports import Directory, Ledger, NamespaceContents, NamespaceStore, StoreUnavailable, Usage


class NarrowedDirectory:
    """`ports.Directory`. Looks at the store again whenever its epoch is another one."""

    def __init__(self, directory: Directory, guard: StateGuard) -> None:
        self._directory, self._guard = directory, guard
        self._epoch: int | None = None

    async def find(self, public_id: str) -> tuple[KeyRecord, tuple[Approval, ...]] | None:
        self._guard.require_open()
        found = await self._directory.find(public_id)
        if found is None:
            return None
        record, approvals = found
        return await self._key(record), tuple([await self._approval(approval) for approval in approvals])

    async def epoch(self) -> int:
        before, self._epoch = self._epoch, None  # where the store does not answer, it may be another one next time
        epoch = await self._directory.epoch()
        if epoch != before or self._guard.is_due():
            await self._guard.look()
        self._epoch = epoch
        self._guard.require_open()
        return epoch

    async def put_key(self, record: KeyRecord) -> None:
        self._guard.require_open()
        await self._directory.put_key(record)

    async def rehash(self, public_id: str, before: str, digest: str) -> bool:
        return await self._directory.rehash(public_id, before, digest)

    async def put_approval(self, approval: Approval) -> None:
        self._guard.require_open()
        await self._directory.put_approval(approval)

    async def keys(self) -> Sequence[KeyRecord]:
        return [await self._key(record) for record in await self._directory.keys()]

    async def approvals(self, user: str) -> Sequence[Approval]:
        return [await self._approval(approval) for approval in await self._directory.approvals(user)]

    async def _key(self, record: KeyRecord) -> KeyRecord:
        subject = of_key(record.public_id)
        at = self._guard.at(subject)
        if at is None or record.revoked is not None:
            return record
        narrowed = replace(record, revoked=at)
        with suppress(StoreUnavailable):
            await self._directory.put_key(narrowed)
        await self._guard.undone(subject, "key")
        return narrowed

    async def _approval(self, approval: Approval) -> Approval:
        subject = of_approval(approval.user, approval.approval_id)
        at = self._guard.at(subject)
        if at is None or approval.revoked is not None:
            return approval
        narrowed = replace(approval, revoked=at)
        with suppress(StoreUnavailable):
            await self._directory.put_approval(narrowed)
        await self._guard.undone(subject, "approval")
        return narrowed


class NarrowedNamespaces:
    """`ports.NamespaceStore`. Entries are not narrowed: a frozen namespace takes none, in the store as well."""

    def __init__(self, namespace_store: NamespaceStore, guard: StateGuard) -> None:
        self._store, self._guard = namespace_store, guard

    async def namespaces(self) -> Mapping[str, Namespace]:
        named = await self._store.namespaces()
        return {name: await self._narrowed(namespace) for name, namespace in named.items()}

    async def changes(self) -> int:
        return await self._store.changes()

    async def touch(self) -> None:
        await self._store.touch()

    async def create(self, namespace: Namespace) -> bool:
        self._guard.require_open()
        return await self._store.create(namespace)

    async def freeze(self, name: str, at: float) -> bool:
        self._guard.require_open()
        return await self._store.freeze(name, at)

    async def drop(self, name: str) -> int:
        self._guard.require_open()
        return await self._store.drop(name)

    async def empty(self, name: str) -> int:
        self._guard.require_open()
        return await self._store.empty(name)

    async def get(self, name: str, cache_key: str) -> bytes | None:
        return await self._store.get(name, cache_key)

    async def get_all(self, name: str, cache_keys: Sequence[str]) -> Sequence[bytes | None]:
        return await self._store.get_all(name, cache_keys)

    async def put(self, name: str, cache_key: str, blob: bytes, sent: float | None = None) -> bytes | None:
        return await self._store.put(name, cache_key, blob, sent)

    async def move(self, name: str, cache_key: str, to: str, blob: bytes) -> bool:
        return await self._store.move(name, cache_key, to, blob)

    async def remove(self, name: str, cache_key: str) -> bool:
        return await self._store.remove(name, cache_key)

    async def page(self, name: str, after: int = 0, limit: int = 256) -> Sequence[tuple[int, str]]:
        return await self._store.page(name, after, limit)

    async def contents(self, name: str) -> NamespaceContents:
        return await self._store.contents(name)

    async def _narrowed(self, namespace: Namespace) -> Namespace:
        subject = of_namespace(namespace.name, namespace.created)
        at = self._guard.at(subject)
        if at is None or namespace.frozen is not None:
            return namespace
        with suppress(StoreUnavailable):
            await self._store.freeze(namespace.name, at)
        await self._guard.undone(subject, "namespace")
        return replace(namespace, frozen=at)


class GuardedLedger:
    """`ports.Ledger`: reserves nothing while the store is closed, since it has forgotten what was charged."""

    def __init__(self, ledger: Ledger, guard: StateGuard) -> None:
        self._ledger, self._guard = ledger, guard

    async def charge_rate(self, subject: str, limits: tuple[Limit, ...], in_advance: int) -> Verdict:
        return await self._ledger.charge_rate(subject, limits, in_advance)

    async def return_rate(self, subject: str, limits: tuple[Limit, ...], count: int, charged_at: int) -> None:
        await self._ledger.return_rate(subject, limits, count, charged_at)

    async def reserve(self, reservation: Reservation, lease_s: float) -> Verdict:
        self._guard.require_open()
        return await self._ledger.reserve(reservation, lease_s)

    async def settle(self, reservation: Reservation, units: int) -> None:
        await self._ledger.settle(reservation, units)

    async def usage(self, subject: str, limits: tuple[Limit, ...]) -> Sequence[Usage]:
        return await self._ledger.usage(subject, limits)


async def standing(directory: Directory, namespace_store: NamespaceStore) -> Sequence[FinalDecision]:
    """Decisions as a store's records show them, from before decisions were kept beside them."""
    keys = await directory.keys()
    found = [FinalDecision(of_key(key.public_id), key.revoked) for key in keys if key.revoked is not None]
    for user in sorted({key.user for key in keys}):
        found += [
            FinalDecision(of_approval(user, approval.approval_id), approval.revoked)
            for approval in await directory.approvals(user)
            if approval.revoked is not None
        ]
    for namespace in (await namespace_store.namespaces()).values():
        if namespace.frozen is not None:
            found.append(FinalDecision(of_namespace(namespace.name, namespace.created), namespace.frozen))
    return found
