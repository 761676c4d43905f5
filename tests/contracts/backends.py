"""The same port, kept by different backends: what every contract runs on."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_decisions import RedisDecisions
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_ledger import RedisLedger
from gateway.adapters.redis_namespaces import RedisNamespaces
from gateway.adapters.redis_purges import RedisPurges
from gateway.adapters.redis_run_counters import RedisRunCounters
from gateway.adapters.redis_throttle import RedisThrottle
from gateway.core.sealing import derive_key
from gateway.ports import (
    CacheStore,
    DecisionStore,
    Directory,
    Ledger,
    NamespaceStore,
    PurgeStore,
    RunCounters,
    Throttle,
)
from tests.fakes.cache import FakeCache
from tests.fakes.namespaces import FakeNamespaces, FakePurges
from tests.fakes.run_counters import FakeRunCounters
from tests.fakes.stores import FakeDecisions, FakeDirectory, FakeLedger
from tests.fakes.throttle import FakeThrottle
from tests.fakes.world import FakeClock, FakeMeter

P = TypeVar("P")
SECRET = derive_key(b"of no use anywhere else", "directory")
NUMBERS = itertools.count()


@dataclass
class Backend:
    """A backend: the address of a store, or None for memory. Every test has a prefix of its own on it."""

    address: str | None
    clock: FakeClock = field(default_factory=lambda: FakeClock([]))
    meter: FakeMeter = field(default_factory=FakeMeter)
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
            yield FakeLedger([], self.clock.now)
            return
        async with self.store() as store:
            yield RedisLedger(store, prefix=self.prefix, now=self.clock.now)

    @asynccontextmanager
    async def cache(self) -> AsyncIterator[CacheStore]:
        if self.address is None:
            yield FakeCache([], SystemClock().now)
            return
        async with self.store() as store:
            yield RedisCache(store, SystemClock(), SECRET, prefix=self.prefix)

    @asynccontextmanager
    async def throttle(self) -> AsyncIterator[Throttle]:
        if self.address is None:
            yield FakeThrottle([], SystemClock().now)
            return
        async with self.store() as store:
            yield RedisThrottle(store, prefix=self.prefix)

    @asynccontextmanager
    async def run_counters(self, most: int = 1000) -> AsyncIterator[RunCounters]:
        if self.address is None:
            yield FakeRunCounters([], self.clock.now, most)
            return
        async with self.store() as store:
            yield RedisRunCounters(store, prefix=self.prefix, now=self.clock.now, most=most)

    @asynccontextmanager
    async def directory(self) -> AsyncIterator[Directory]:
        if self.address is None:
            yield FakeDirectory([])
            return
        async with self.store() as store:
            yield RedisDirectory(store, SECRET, SystemClock(), self.meter, prefix=self.prefix)

    @asynccontextmanager
    async def decisions(self) -> AsyncIterator[DecisionStore]:
        if self.address is None:
            yield FakeDecisions([])
            return
        async with self.store() as store:
            yield RedisDecisions(store, SECRET, SystemClock(), self.meter, prefix=self.prefix)

    @asynccontextmanager
    async def purge_store(self) -> AsyncIterator[PurgeStore]:
        if self.address is None:
            yield FakePurges([], SystemClock().now)
            return
        async with self.store() as store:
            yield RedisPurges(store, store, SECRET, SystemClock(), self.meter, prefix=self.prefix)

    @asynccontextmanager
    async def namespace_store(self, max_bytes: int = 2**28, most: int = 1000) -> AsyncIterator[NamespaceStore]:
        if self.address is None:
            yield FakeNamespaces([], max_bytes, most, SystemClock().now)
            return
        async with self.store() as store:
            yield RedisNamespaces(store, SECRET, SystemClock(), self.meter, max_bytes, prefix=self.prefix, most=most)


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
