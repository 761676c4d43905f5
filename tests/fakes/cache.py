"""The cache store in this process's memory, leases and listeners included, each effect in the journal: for tests.

It keeps the promises of the real one (one contract suite runs on both); what is lost on purpose is told to it as to
the other stores of `stores.py`.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from gateway.ports import LeaseClaim
from tests.fakes.stores import Journal, Recorder

# As in redis_cache.py: a longer answer is looked up by who is told.
MESSAGE_BYTES = 65_536
CHANGES = 512


class FakeCache(Recorder):
    part = "cache"

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        super().__init__(journal)
        self._now = now
        self.entries: dict[str, tuple[bytes, float]] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.listeners: dict[str, list[asyncio.Future[bytes]]] = {}
        self.changed: list[str] = []

    async def get(self, cache_key: str) -> bytes | None:
        with self.effect("get", cache_key):
            return self._entry(cache_key)

    async def put(
        self, cache_key: str, blob: bytes, ttl_s: float, first_write_wins: bool, owner: str | None = None
    ) -> bytes | None:
        with self.effect("put", cache_key):
            late = owner is not None and self._holder(cache_key) != owner
            standing = self._entry(cache_key) if first_write_wins or late else None
            if standing is None:
                self.entries[cache_key] = (blob, self._now() + ttl_s)
                self.changed.append(cache_key)
            if owner is not None:
                if standing is None:
                    self._end(cache_key, owner)
                self._tell(cache_key, blob if standing is None else b"")
            return standing

    async def delete(self, cache_key: str) -> None:
        with self.effect("delete", cache_key):
            self.entries.pop(cache_key, None)
            self.leases.pop(cache_key, None)
            self.changed.append(cache_key)

    async def changes(self, since: Sequence[str] | None) -> tuple[Sequence[str], Collection[str] | None]:
        with self.effect("changes"):
            now = (str(len(self.changed)),)
            if since is None or not 0 <= len(self.changed) - int(since[0]) < CHANGES:
                return now, None
            return now, set(self.changed[int(since[0]) :])

    async def claim(self, cache_key: str, owner: str, lease_s: float, refused: bytes | None = None) -> LeaseClaim:
        with self.effect("claim", cache_key, owner):
            entry = self._entry(cache_key)
            if entry is not None and entry != refused:
                return LeaseClaim(acquired=False, entry=entry)
            if self._holder(cache_key) not in (None, owner):
                return LeaseClaim(acquired=False, expires_in_s=min(lease_s, self.leases[cache_key][1] - self._now()))
            self.leases[cache_key] = (owner, self._now() + lease_s)
            return LeaseClaim(acquired=True, expires_in_s=lease_s)

    async def renew(self, cache_key: str, owner: str, lease_s: float) -> bool:
        with self.effect("renew", cache_key, owner):
            if self._holder(cache_key) != owner:
                return False
            self.leases[cache_key] = (owner, self._now() + lease_s)
            return True

    async def release(self, cache_key: str, owner: str, message: bytes = b"") -> None:
        with self.effect("release", cache_key, owner):
            if self._end(cache_key, owner):
                self._tell(cache_key, message)

    async def subscribe(self, cache_key: str) -> "asyncio.Future[bytes]":
        with self.effect("subscribe", cache_key):
            message: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self.listeners.setdefault(cache_key, []).append(message)
            return message

    def unsubscribe(self, cache_key: str, message: "asyncio.Future[bytes]") -> None:
        self.listeners[cache_key].remove(message)
        if not self.listeners[cache_key]:
            del self.listeners[cache_key]

    def lose_listeners(self) -> None:
        """As when the connection that they listen on breaks."""
        for cache_key in tuple(self.listeners):
            self._tell(cache_key, b"")

    async def stats(self) -> Mapping[str, int]:
        with self.effect("stats"):
            size = sum(len(blob) for blob, _ in self.entries.values())
            return {"entries": len(self.entries), "bytes": size, "evicted": 0, "expired": 0, "hits": 0, "misses": 0}

    def _entry(self, cache_key: str) -> bytes | None:
        blob, ends = self.entries.get(cache_key, (None, 0.0))
        return blob if ends > self._now() else None

    def _holder(self, cache_key: str) -> str | None:
        owner, ends = self.leases.get(cache_key, (None, 0.0))
        return owner if ends > self._now() else None

    def _end(self, cache_key: str, owner: str) -> bool:
        acquired = self._holder(cache_key) == owner
        if acquired:
            del self.leases[cache_key]
        return acquired

    def _tell(self, cache_key: str, blob: bytes) -> None:
        for message in self.listeners.get(cache_key, ()):
            if not message.done():
                message.set_result(blob if len(blob) <= MESSAGE_BYTES else b"")
