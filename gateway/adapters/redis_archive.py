"""Named namespaces in the state store: what a paper cites must outlive a cache that evicts.

A namespace is one hash, so that freezing it, adding to it and its size are decided in one place. The names stand in a
hash of their own, which every worker reads twice a second. What is stored here is sealed by the caller.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.adapters.redis_connect import RedisStore, Word, load_script
from gateway.core.nouns import Namespace
from gateway.ports import NotKept

ADDRESS_CHARS = 64


class RedisArchive:
    """`ports.Archive`."""

    def __init__(self, store: RedisStore, max_bytes: int, *, prefix: str = "esmgw:") -> None:
        self._store, self._max_bytes, self._prefix = store, max_bytes, prefix
        self._names = f"{prefix}namespaces"
        self._script = load_script("archive")

    async def namespaces(self) -> Mapping[str, Namespace]:
        rows: Any = await self._store.call("namespaces", "HGETALL", self._names)
        flat = list(rows.items()) if isinstance(rows, dict) else list(zip(rows[::2], rows[1::2], strict=True))
        return {name.decode(): Namespace(name.decode(), **orjson.loads(meta)) for name, meta in flat}

    async def create(self, namespace: Namespace) -> bool:
        meta = _meta(namespace)
        made = await self._run("create", namespace.name, "create", meta)
        if made:
            await self._store.call("create", "HSET", self._names, namespace.name, meta)
        return bool(made)

    async def freeze(self, name: str, at: float) -> bool:
        # First where it is obeyed, then where it is read: nothing is added to what looks frozen.
        if not await self._run("freeze", name, "freeze", f"{at:.3f}"):
            return False
        known = (await self.namespaces()).get(name, Namespace(name, at))
        meta = _meta(Namespace(name, known.created, known.frozen or at, known.note))
        await self._store.call("freeze", "HSET", self._names, name, meta)
        return True

    async def drop(self, name: str) -> int:
        entries, _ = await self.size(name)
        await self._store.call("drop", "HDEL", self._names, name)
        await self._store.call("drop", "UNLINK", self._key(name))
        return entries

    async def get(self, name: str, address: str) -> bytes | None:
        blob: bytes | None = await self._store.call("archive", "HGET", self._key(name), address)
        return blob

    async def put(self, name: str, address: str, blob: bytes) -> bytes | None:
        answer: list[bytes] = await self._run("archive", name, "put", address, blob, self._max_bytes)
        if answer[0] == b"no":
            raise NotKept(answer[1].decode())
        return answer[1] if answer[0] == b"stands" else None

    async def remove(self, name: str, address: str) -> bool:
        return bool(await self._run("archive", name, "remove", address))

    async def addresses(self, name: str) -> Sequence[str]:
        fields: list[bytes] = await self._store.call("archive", "HKEYS", self._key(name))
        return sorted(field.decode() for field in fields if len(field) == ADDRESS_CHARS)

    async def size(self, name: str) -> tuple[int, int]:
        size: bytes | None = await self._store.call("archive", "HGET", self._key(name), "bytes")
        return len(await self.addresses(name)), int(size or 0)

    async def _run(self, operation: str, name: str, *words: Word) -> Any:
        return await self._store.run(operation, self._script, (self._key(name),), words)

    def _key(self, name: str) -> str:
        return f"{self._prefix}n:{{{name}}}"


def _meta(namespace: Namespace) -> bytes:
    return orjson.dumps({"created": namespace.created, "frozen": namespace.frozen, "note": namespace.note})
