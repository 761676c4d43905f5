"""The cache store in this process's memory, leases and listeners included, each effect in the journal: for tests.

It keeps the promises of the real one (one contract suite runs on both); what is lost on purpose is told to it as to
the other stores of `memory_stores.py`.
"""

from collections.abc import Callable, Mapping

from gateway.adapters.memory_stores import Journal, Recorder
from gateway.adapters.tasks import AsyncPromise
from gateway.ports import Claim, Promise

# As in redis_cache.py: a longer answer is looked up by who is told.
MESSAGE_BYTES = 65_536


class MemoryCache(Recorder):
    part = "cache"

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        super().__init__(journal)
        self._now = now
        self.entries: dict[str, tuple[bytes, float]] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.listeners: dict[str, list[Promise[bytes]]] = {}

    async def get(self, address: str) -> bytes | None:
        with self.effect("get", address):
            return self._entry(address)

    async def put(
        self, address: str, blob: bytes, ttl_s: float, keep_first: bool, owner: str | None = None
    ) -> bytes | None:
        with self.effect("put", address):
            late = owner is not None and self._holder(address) != owner
            standing = self._entry(address) if keep_first or late else None
            if standing is None:
                self.entries[address] = (blob, self._now() + ttl_s)
            if owner is not None:
                if standing is None:
                    self._end(address, owner)
                self._tell(address, blob if standing is None else b"")
            return standing

    async def delete(self, address: str) -> None:
        with self.effect("delete", address):
            self.entries.pop(address, None)
            self.leases.pop(address, None)

    async def claim(self, address: str, owner: str, lease_s: float, refused: bytes | None = None) -> Claim:
        with self.effect("claim", address, owner):
            entry = self._entry(address)
            if entry is not None and entry != refused:
                return Claim(ours=False, entry=entry)
            if self._holder(address) not in (None, owner):
                return Claim(ours=False, left_s=self.leases[address][1] - self._now())
            self.leases[address] = (owner, self._now() + lease_s)
            return Claim(ours=True, left_s=lease_s)

    async def renew(self, address: str, owner: str, lease_s: float) -> bool:
        with self.effect("renew", address, owner):
            if self._holder(address) != owner:
                return False
            self.leases[address] = (owner, self._now() + lease_s)
            return True

    async def release(self, address: str, owner: str) -> None:
        with self.effect("release", address, owner):
            if self._end(address, owner):
                self._tell(address, b"")

    async def listen(self, address: str) -> Promise[bytes]:
        with self.effect("listen", address):
            news: Promise[bytes] = AsyncPromise()
            self.listeners.setdefault(address, []).append(news)
            return news

    def stop_listening(self, address: str, news: Promise[bytes]) -> None:
        self.listeners[address].remove(news)
        if not self.listeners[address]:
            del self.listeners[address]

    def lose_listeners(self) -> None:
        """As when the connection that they listen on breaks."""
        for address in tuple(self.listeners):
            self._tell(address, b"")

    async def stats(self) -> Mapping[str, int]:
        with self.effect("stats"):
            size = sum(len(blob) for blob, _ in self.entries.values())
            return {"entries": len(self.entries), "bytes": size, "evicted": 0, "expired": 0, "hits": 0, "misses": 0}

    def _entry(self, address: str) -> bytes | None:
        blob, ends = self.entries.get(address, (None, 0.0))
        return blob if ends > self._now() else None

    def _holder(self, address: str) -> str | None:
        owner, ends = self.leases.get(address, (None, 0.0))
        return owner if ends > self._now() else None

    def _end(self, address: str, owner: str) -> bool:
        ours = self._holder(address) == owner
        if ours:
            del self.leases[address]
        return ours

    def _tell(self, address: str, blob: bytes) -> None:
        for news in self.listeners.get(address, ()):
            news.set(blob if len(blob) <= MESSAGE_BYTES else b"")
