"""Named namespaces in the state store: what a paper cites must outlive a cache that evicts.

All entries of a namespace have one hash tag, so adding, freezing and dropping are scripts that run one after another;
what they cost does not depend on how many entries there are. The descriptions are in a sealed hash of their own, which
every worker reads twice a second. The entries are sealed by the caller.

An operation of two steps first changes the entries: a crash in between leaves a namespace that looks open but accepts
nothing, and repeating the operation completes it. A forged description is treated as absent, and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from gateway.adapters.redis_connect import RedisStore, Word, as_stored, finite_number, load_script
from gateway.core.metrics import STORE_ERRORS
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.core.types import Namespace
from gateway.ports import Clock, Meter, NamespaceContents, NotStored

# More than a lab publishes papers, and few enough to be read twice a second by every worker.
MAX_NAMESPACES = 1000
# Larger entries get one deadline for each of these.
BYTES_PER_DEADLINE = 4 * 2**20
METADATA_FIELDS = ("open", "frozen", "bytes", "last_number")
# Longer than any call is under way.
FLIGHT_MS = 6 * 3600 * 1000


class RedisNamespaces:
    """`ports.NamespaceStore`. `sealing_key` is `sealing.derive_key(secret, "directory")`."""

    def __init__(
        self,
        store: RedisStore,
        sealing_key: bytes,
        clock: Clock,
        meter: Meter,
        max_bytes: int,
        *,
        prefix: str = "esmgw:",
        most: int = MAX_NAMESPACES,
    ) -> None:
        self._store, self._sealing, self._clock, self._meter = store, sealing_key, clock, meter
        self._max_bytes, self._most, self._prefix = max_bytes, most, prefix
        self._names, self._changes = f"{prefix}namespaces", f"{prefix}namespaces:changes"
        self._entries, self._descriptions = load_script("namespace_entries"), load_script("namespace_description")

    async def namespaces(self) -> Mapping[str, Namespace]:
        rows: dict[bytes, bytes] = await self._store.call("namespaces", "HGETALL", self._names)
        named = {name.decode(errors="replace"): blob for name, blob in rows.items()}
        unsealed = {name: self._unseal(name, blob) for name, blob in named.items()}
        return {name: namespace for name, namespace in unsealed.items() if namespace is not None}

    async def changes(self) -> int:
        number: bytes | None = await self._store.call("namespaces", "GET", self._changes)
        with as_stored("namespaces"):
            return int(number or 0)

    async def touch(self) -> None:
        await self._store.call("touch", "INCR", self._changes)

    async def create(self, namespace: Namespace) -> bool:
        # A crash between the two steps leaves an open namespace without a description; creating it again completes it.
        await self._run("create", namespace.name, "open")
        made = await self._describe("create", namespace)
        if made < 0:
            raise NotStored("too many")
        return made == 1

    async def freeze(self, name: str, at: float) -> bool:
        since: bytes | None = await self._run("freeze", name, "freeze", repr(at))
        known = (await self.namespaces()).get(name)
        if since is None or known is None:
            return False
        if known.frozen is None:
            with as_stored("freeze"):
                frozen = finite_number(since)
            await self._describe("update", replace(known, frozen=frozen))
        return True

    async def drop(self, name: str) -> int:
        # The description goes last: until then the name is taken, so no new namespace gets old entries.
        entries: int = await self._run("drop", name, "drop", FLIGHT_MS)
        await self._store.call("drop", "HDEL", self._names, name)
        return max(0, entries)

    async def empty(self, name: str) -> int:
        entries: int = await self._run("empty", name, "empty", FLIGHT_MS)
        if entries < 0:
            raise NotStored("frozen")
        return entries

    async def get(self, name: str, cache_key: str) -> bytes | None:
        blob: bytes | None = await self._store.call("namespace", "HGET", self._keys(name)[0], cache_key)
        return blob

    async def get_all(self, name: str, cache_keys: Sequence[str]) -> Sequence[bytes | None]:
        blobs: list[bytes | None] = await self._store.call("namespace", "HMGET", self._keys(name)[0], *cache_keys)
        return blobs

    async def put(self, name: str, cache_key: str, blob: bytes, sent: float | None = None) -> bytes | None:
        deadline = self._store.timeout_s * max(1.0, len(blob) / BYTES_PER_DEADLINE)
        words = ("put", cache_key, blob, self._max_bytes, "" if sent is None else f"{sent:.6f}")
        answer: list[bytes] = await self._run("namespace", name, *words, cache_key=cache_key, timeout_s=deadline)
        with as_stored("namespace"):
            verdict, *more = answer
            if verdict == b"refused":
                raise NotStored(more[0].decode())
            return more[0] if verdict == b"exists" else None

    async def move(self, name: str, cache_key: str, to: str, blob: bytes) -> bool:
        deadline = self._store.timeout_s * max(1.0, len(blob) / BYTES_PER_DEADLINE)
        return bool(await self._run("namespace", name, "move", cache_key, to, blob, timeout_s=deadline))

    async def remove(self, name: str, cache_key: str) -> bool:
        return bool(await self._run("namespace", name, "remove", cache_key, FLIGHT_MS, cache_key=cache_key))

    async def page(self, name: str, after: int = 0, most: int = 256) -> Sequence[tuple[int, str]]:
        words = (self._keys(name)[1], f"({after}", "+inf", "WITHSCORES", "LIMIT", 0, most)
        rows: list[tuple[bytes, float]] = await self._store.call(
            "namespace", "ZRANGEBYSCORE", *words, withscores=True, score_cast_func=float
        )
        with as_stored("namespace"):
            return [(int(number), cache_key.decode()) for cache_key, number in rows]

    async def contents(self, name: str) -> NamespaceContents:
        hash_key, _ = self._keys(name)
        fields: Any = await self._store.call("namespace", "HMGET", hash_key, *METADATA_FIELDS)
        length: int = await self._store.call("namespace", "HLEN", hash_key)
        with as_stored("namespace"):
            opened, frozen, size, _ = fields
            if opened is None:
                return NamespaceContents(0, 0, closed=True)
            entries = length - sum(field is not None for field in fields)
            return NamespaceContents(entries, int(size or 0), closed=frozen is not None)

    async def _run(
        self, operation: str, name: str, *words: Word, cache_key: str = "", timeout_s: float | None = None
    ) -> Any:
        purged = f"{self._keys(name)[0]}:purged"
        keys = (*self._keys(name), purged, f"{purged}:{cache_key}")
        return await self._store.run(operation, self._entries, keys, words, timeout_s)

    async def _describe(self, act: str, namespace: Namespace) -> int:
        content = orjson.dumps({"created": namespace.created, "frozen": namespace.frozen, "note": namespace.note})
        blob = seal(self._sealing, _seal_context(namespace.name), content, self._clock.token(NONCE_BYTES))
        words = (act, namespace.name, blob, self._most)
        answer: int = await self._store.run("describe", self._descriptions, (self._names,), words)
        return answer

    def _unseal(self, name: str, blob: bytes) -> Namespace | None:
        content = unseal(self._sealing, _seal_context(name), blob)
        if content is None:
            self._meter.count(STORE_ERRORS, "state", "forged")
            return None
        try:
            return Namespace(name, **orjson.loads(content))
        except (ValueError, TypeError):
            self._meter.count(STORE_ERRORS, "state", "unreadable")
            return None

    def _keys(self, name: str) -> tuple[str, str]:
        return f"{self._prefix}namespace:{{{name}}}", f"{self._prefix}namespace:{{{name}}}:order"


def _seal_context(name: str) -> str:
    return f"namespace:{name}"
