"""Replacing the master secret: what still needs another one than that which seals now, and moving it.

Reading with several masters needs nothing moved. Moving is for taking an old one away, after which nothing that it made
can be read: keys whose digest it made are unknown (their text is known only when they are used, and then they move by
themselves), and receipts and audit records of its time cannot be verified, which nothing can move.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway import endpoints
from gateway.core import cache_plan, credentials, namespace_entry, sealing
from gateway.core.audit import Event
from gateway.core.cache_directives import CacheDirectives
from gateway.core.cache_plan import CacheConfig
from gateway.core.endpoint import ParseConfig
from gateway.core.problems import Problem
from gateway.core.types import Call
from gateway.flow.admin_arguments import check_names
from gateway.ports import AuditLog, Clock, Directory, NamespaceStore, SealedRecords

AT_NEXT_USE, BY_COMMAND = "at its next use", "by `secrets move`"


@dataclass(frozen=True, slots=True)
class NotMoved:
    """Something that needs another master than the present one, and when or by what it moves."""

    kind: str
    name: str
    moves: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class RotationKeys:
    """Keys of the present master and its others: for entries of namespaces, and for digests of virtual keys."""

    entries: bytes
    pepper: bytes


class SecretRotation:
    """What has not moved to the present master secret, as an administrator sees and moves it."""

    def __init__(
        self,
        *,
        records: SealedRecords,
        directory: Directory,
        namespace_store: NamespaceStore,
        audit: AuditLog,
        clock: Clock,
        keys: RotationKeys,
        cache_config: CacheConfig,
        parse_config: ParseConfig,
    ) -> None:
        self._records, self._directory, self._namespace_store = records, directory, namespace_store
        self._audit, self._clock, self._keys = audit, clock, keys
        self._cache_config, self._parse_config = cache_config, parse_config

    async def not_moved(self) -> list[NotMoved]:
        """Keys that can still be used come first; ended ones do not matter."""
        now = self._clock.now()
        left = [
            NotMoved("key", key.public_id, AT_NEXT_USE)
            for key in await self._directory.keys()
            if key.revoked is None and (key.expires is None or now < key.expires)
            if not credentials.is_current(self._keys.pepper, key.digest)
        ]
        left += [
            NotMoved(f"record of {each.kind}", each.name, BY_COMMAND)
            for each in await self._records.records()
            if not each.is_current
        ]
        for name in sorted(await self._namespace_store.namespaces()):
            count = sum([1 async for _ in self._old_entries(name)])
            left += [NotMoved("calls of namespace", name, BY_COMMAND, count)] if count else []
        return left

    async def move(self, by: str, secret_id: str) -> int:
        """Seal records anew, and give the entries of namespaces the cache keys of the present master; returns how many.

        It can be interrupted and repeated at any time. An entry whose call this gateway no longer accepts stays.
        """
        check_names(by=by)
        await self._audit.append(Event("secrets_moved", self._clock.now(), {"by": by, "secret": secret_id}))
        count = await self._records.reseal()
        for name in sorted(await self._namespace_store.namespaces()):
            async for cache_key, blob in self._old_entries(name):
                count += await self._move_entry(name, cache_key, blob)
        return count

    async def _old_entries(self, name: str) -> AsyncIterator[tuple[str, bytes]]:
        """Cache keys and sealed bytes of the entries that the present master has not sealed."""
        after = 0
        while page := await self._namespace_store.page(name, after):
            for _, cache_key in page:
                blob = await self._namespace_store.get(name, cache_key)
                if blob is not None and not sealing.is_current(self._keys.entries, f"{name} {cache_key}", blob):
                    yield cache_key, blob
            after = page[-1][0]

    async def _move_entry(self, name: str, cache_key: str, blob: bytes) -> bool:
        entry = namespace_entry.decode(self._keys.entries, f"{name} {cache_key}", blob)
        call = None if entry is None else _call(entry, self._parse_config)
        if entry is None or call is None:
            return False
        asked = CacheDirectives(pool=entry.pool, sample=entry.sample)
        to = cache_plan.namespace_plan(call, self._cache_config, name, False, asked).cache_key
        assert to is not None
        nonce = self._clock.token(sealing.NONCE_BYTES)
        return await self._namespace_store.move(
            name, cache_key, to, namespace_entry.encode(self._keys.entries, f"{name} {to}", entry, nonce)
        )


def _call(entry: namespace_entry.NamespaceEntry, rules: ParseConfig) -> Call | None:
    endpoint = endpoints.find(f"/api/v1/{entry.endpoint}")
    try:
        return None if endpoint is None else endpoint.parse(entry.body, entry.target.partition("?")[2], rules)
    except Problem:
        return None
