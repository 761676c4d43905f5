"""The same port, kept by different backends: what every contract runs on."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.adapters.clock import SystemClock
from gateway.adapters.memory import MemoryClock, MemoryMeter
from gateway.adapters.memory_archive import MemoryArchive, MemoryPurges
from gateway.adapters.memory_cache import MemoryCache
from gateway.adapters.memory_notices import MemoryNotices
from gateway.adapters.memory_stores import MemoryDirectory, MemoryLedger
from gateway.adapters.redis_archive import RedisArchive
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_ledger import RedisLedger
from gateway.adapters.redis_notices import RedisNotices
from gateway.adapters.redis_purges import RedisPurges
from gateway.core.envelope import derive
from gateway.ports import Archive, CacheStore, Directory, Ledger, Notices, Purges

P = TypeVar("P")
SECRET = derive(b"of no use anywhere else", "directory")
NUMBERS = itertools.count()


@dataclass
class World:
    """A backend: the address of a store, or None for memory. Every test has a prefix of its own on it."""

    address: str | None
    clock: MemoryClock = field(default_factory=lambda: MemoryClock([]))
    meter: MemoryMeter = field(default_factory=MemoryMeter)
    prefix: str = field(default_factory=lambda: f"test{next(NUMBERS)}:")

    @asynccontextmanager
    async def store(self) -> AsyncIterator[RedisStore]:
        assert self.address is not None
        # A generous deadline: these tests are about meaning; time has tests of its own.
        store = connect(self.address, timeout_s=5.0, name="contract")
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[Ledger]:
        if self.address is None:
            yield MemoryLedger([], self.clock.now)
            return
        async with self.store() as store:
            yield RedisLedger(store, prefix=self.prefix, now=self.clock.now)

    @asynccontextmanager
    async def cache(self) -> AsyncIterator[CacheStore]:
        if self.address is None:
            yield MemoryCache([], SystemClock().now)
            return
        async with self.store() as store:
            yield RedisCache(store, SystemClock(), prefix=self.prefix)

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[Notices]:
        if self.address is None:
            yield MemoryNotices([], SystemClock().now)
            return
        async with self.store() as store:
            yield RedisNotices(store, prefix=self.prefix)

    @asynccontextmanager
    async def directory(self) -> AsyncIterator[Directory]:
        if self.address is None:
            yield MemoryDirectory([])
            return
        async with self.store() as store:
            yield RedisDirectory(store, SECRET, SystemClock(), self.meter, prefix=self.prefix)

    @asynccontextmanager
    async def purges(self) -> AsyncIterator[Purges]:
        if self.address is None:
            yield MemoryPurges([], SystemClock().now)
            return
        async with self.store() as store:
            yield RedisPurges(store, prefix=self.prefix)

    @asynccontextmanager
    async def archive(self, max_bytes: int = 2**28, most: int = 1000) -> AsyncIterator[Archive]:
        if self.address is None:
            yield MemoryArchive([], max_bytes, most)
            return
        async with self.store() as store:
            yield RedisArchive(store, SECRET, SystemClock(), self.meter, max_bytes, prefix=self.prefix, most=most)


@asynccontextmanager
async def connected(address: str, timeout_s: float) -> AsyncIterator[RedisStore]:
    """A store by its address, with a deadline of the test's own."""
    store = connect(address, timeout_s=timeout_s, name="contract")
    try:
        yield store
    finally:
        await store.close()


def play(port: AbstractAsyncContextManager[P], story: Callable[[P], Awaitable[None]]) -> None:
    """Run a story on a port, in an event loop of its own."""

    async def whole() -> None:
        async with port as opened:
            await story(opened)

    asyncio.run(whole())
