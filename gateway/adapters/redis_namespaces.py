"""Named namespaces in the state store: what a paper cites must outlive a cache that evicts.

A namespace's entries lie in one place, so that adding to it, freezing it and forgetting it are decided one after the
other; what each costs does not depend on how many there are. The descriptions stand in a hash of their own, sealed,
which every worker reads twice a second. The entries are sealed by the caller.

What needs two steps is begun where it is obeyed: a crash in between leaves a namespace that takes nothing although it
looks as if it did, and doing the same again ends it. A forged description is no description, and is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from gateway.adapters.redis_connect import RedisStore, Word, load_script
from gateway.core.metrics import STORE_ERRORS
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.core.types import Namespace
from gateway.ports import Clock, Meter, NamespaceContents, NotStored

# More than a lab has papers, and few enough to be read twice a second by every worker.
MOST = 1000
# What may be sent within one deadline; larger entries get as many deadlines as they have of this.
BYTES_PER_DEADLINE = 4 * 2**20
BOOKKEEPING = ("open", "frozen", "bytes", "last")


class RedisNamespaces:
    """`ports.NamespaceStore`. `sealing_key` is `envelope.derive(secret, "directory")`."""

    def __init__(
        self,
        store: RedisStore,
        sealing_key: bytes,
        clock: Clock,
        meter: Meter,
        max_bytes: int,
        *,
        prefix: str = "esmgw:",
        most: int = MOST,
    ) -> None:
        self._store, self._sealing, self._clock, self._meter = store, sealing_key, clock, meter
        self._max_bytes, self._most, self._prefix = max_bytes, most, prefix
        self._names = f"{prefix}namespaces"
        self._entries, self._descriptions = load_script("namespace_entries"), load_script("namespace_description")

    async def namespaces(self) -> Mapping[str, Namespace]:
        rows: dict[bytes, bytes] = await self._store.call("namespaces", "HGETALL", self._names)
        named = {name.decode(errors="replace"): blob for name, blob in rows.items()}
        opened = {name: self._open(name, blob) for name, blob in named.items()}
        return {name: namespace for name, namespace in opened.items() if namespace is not None}

    async def create(self, namespace: Namespace) -> bool:
        # A crash between the two leaves a place for entries that nobody knows of; creating it again finds it there.
        await self._run("create", namespace.name, "open")
        made = await self._describe("new", namespace)
        if made < 0:
            raise NotStored("too many")
        return made == 1

    async def freeze(self, name: str, at: float) -> bool:
        since: bytes | None = await self._run("freeze", name, "freeze", repr(at))
        known = (await self.namespaces()).get(name)
        if since is None or known is None:
            return False
        if known.frozen is None:
            await self._describe("again", replace(known, frozen=float(since)))
        return True

    async def drop(self, name: str) -> int:
        # Its description goes last: until then the name is taken, and nobody finds old entries under a new one.
        entries: int = await self._run("drop", name, "drop")
        await self._store.call("drop", "HDEL", self._names, name)
        return max(0, entries)

    async def empty(self, name: str) -> int:
        entries: int = await self._run("empty", name, "empty")
        if entries < 0:
            raise NotStored("frozen")
        return entries

    async def get(self, name: str, cache_key: str) -> bytes | None:
        blob: bytes | None = await self._store.call("archive", "HGET", self._keys(name)[0], cache_key)
        return blob

    async def put(self, name: str, cache_key: str, blob: bytes) -> bytes | None:
        deadline = self._store.timeout_s * max(1.0, len(blob) / BYTES_PER_DEADLINE)
        words = ("put", cache_key, blob, self._max_bytes)
        answer: list[bytes] = await self._run("archive", name, *words, timeout_s=deadline)
        if answer[0] == b"no":
            raise NotStored(answer[1].decode())
        return answer[1] if answer[0] == b"stands" else None

    async def remove(self, name: str, cache_key: str) -> bool:
        return bool(await self._run("archive", name, "remove", cache_key))

    async def page(self, name: str, after: int = 0, most: int = 256) -> Sequence[tuple[int, str]]:
        words = (self._keys(name)[1], f"({after}", "+inf", "WITHSCORES", "LIMIT", 0, most)
        rows: list[tuple[bytes, float]] = await self._store.call(
            "archive", "ZRANGEBYSCORE", *words, withscores=True, score_cast_func=float
        )
        return [(int(number), cache_key.decode()) for cache_key, number in rows]

    async def contents(self, name: str) -> NamespaceContents:
        hash_key, _ = self._keys(name)
        fields: Any = await self._store.call("archive", "HMGET", hash_key, *BOOKKEEPING)
        length: int = await self._store.call("archive", "HLEN", hash_key)
        opened, frozen, size, _ = fields
        if opened is None:
            return NamespaceContents(0, 0, closed=True)
        return NamespaceContents(
            length - sum(field is not None for field in fields), int(size or 0), closed=frozen is not None
        )

    async def _run(self, operation: str, name: str, *words: Word, timeout_s: float | None = None) -> Any:
        return await self._store.run(operation, self._entries, self._keys(name), words, timeout_s)

    async def _describe(self, act: str, namespace: Namespace) -> int:
        content = orjson.dumps({"created": namespace.created, "frozen": namespace.frozen, "note": namespace.note})
        blob = seal(self._sealing, _place(namespace.name), content, self._clock.token(NONCE_BYTES))
        words = (act, namespace.name, blob, self._most)
        answer: int = await self._store.run("describe", self._descriptions, (self._names,), words)
        return answer

    def _open(self, name: str, blob: bytes) -> Namespace | None:
        content = unseal(self._sealing, _place(name), blob)
        if content is None:
            self._meter.count(STORE_ERRORS, "state", "forged")
            return None
        return Namespace(name, **orjson.loads(content))

    def _keys(self, name: str) -> tuple[str, str]:
        return f"{self._prefix}n:{{{name}}}", f"{self._prefix}n:{{{name}}}:order"


def _place(name: str) -> str:
    return f"namespace:{name}"
