"""Junk under every key that any adapter uses, for every operation: an error of the store or an absence, nothing else.

The keys are those that the operations themselves leave behind, so a new kind of key is in the table by being written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_ledger import RedisLedger
from gateway.adapters.redis_namespaces import RedisNamespaces
from gateway.adapters.redis_purges import RedisPurges
from gateway.adapters.redis_throttle import RedisThrottle
from gateway.core.audit import ChainHead, StoredHead
from gateway.core.purge_state import Purge
from gateway.core.quota import DAY_S, Limit, Reservation
from gateway.core.types import Approval, KeyRecord, Namespace
from gateway.ports import NotStored, StoreUnavailable
from tests.contracts.servers import Stores
from tests.fakes.world import FakeMeter

SEALING = b"k" * 32
LIMITS = (
    Limit("user-requests", "rate", "u:ada", 60, 60, 60),
    Limit("user-concurrent", "concurrency", "u:ada", 4, 1, 4),
    Limit("user-units", "units", "u:ada", 100, DAY_S, 100),
)
RATE, UPSTREAM = LIMITS[:1], LIMITS[1:]
CALL = Reservation("r1", "ada", UPSTREAM, 1)
KEY = KeyRecord("k1", "d", "ada", "lab", 1.0)
APPROVAL = Approval("g1", "ada", ("bea", "carl"), "why", 1.0, 2.0)

JUNK: Mapping[str, tuple[tuple[Any, ...], ...]] = {
    "text": (("SET", "nonsense"),),
    "bytes": (("SET", b"\xff\xfe\x00"),),
    "a number": (("SET", "-1"),),
    "a huge number": (("SET", "1e300"),),
    "a list": (("RPUSH", "a", "b"),),
    "a set": (("SADD", "a"),),
    "a sorted set": (("ZADD", 1, b"\xff"),),
    "a hash": (("HSET", b"\xff", b"\xff", "a", "1"),),
    "a hash of its own fields": (
        ("HSET", "epoch", "x", "serial", "y", "open", "z", "bytes", "b", "frozen", "f", "last_number", "n"),
        ("HSET", "k1", b"\xff", "ada", b"\x00", "chain", "5:x", "paper", "p"),
    ),
}
Operation = Callable[[], Awaitable[object]]


class Adapters:
    def __init__(self, store: RedisStore, prefix: str) -> None:
        clock, meter = SystemClock(), FakeMeter()
        self.store, self.prefix = store, prefix
        self.cache = cache = RedisCache(store, clock, SEALING, prefix=prefix)
        purges = RedisPurges(store, store, SEALING, clock, meter, prefix=prefix)
        directory = RedisDirectory(store, SEALING, clock, meter, prefix=prefix)
        ledger, throttle = RedisLedger(store, prefix=prefix), RedisThrottle(store, prefix=prefix)
        heads = RedisAuditHead(store, SEALING, clock, meter, prefix=prefix)
        spaces = RedisNamespaces(store, SEALING, clock, meter, 2**20, prefix=prefix)
        self.reading = self._reading(directory, ledger, heads, spaces, cache, purges)
        self.writing: Mapping[str, Operation] = {
            "charge_rate": lambda: ledger.charge_rate("ada", RATE, 4),
            "return_rate": lambda: ledger.return_rate("ada", RATE, 1, 0),
            "reserve": lambda: ledger.reserve(CALL, 60),
            "settle": lambda: ledger.settle(CALL, 1),
            "reserve again": lambda: ledger.reserve(Reservation("r2", "ada", UPSTREAM, 1), 60),
            "claim": lambda: cache.claim("here", "ours", 60),
            "renew": lambda: cache.renew("here", "ours", 60),
            "put with a lease": lambda: cache.put("here", b"x", 60, False, "ours"),
            "put first": lambda: cache.put("there", b"x", 60, True),
            "claim another": lambda: cache.claim("elsewhere", "ours", 60),
            "release": lambda: cache.release("here", "ours"),
            "purge": lambda: purges.purge(Purge()),
            "purge a model": lambda: purges.purge(Purge("esm3")),
            "mark stale": lambda: purges.purge(Purge(soft=True)),
            "touch": spaces.touch,
            "put_key": lambda: directory.put_key(KEY),
            "put_approval": lambda: directory.put_approval(APPROVAL),
            "put head": lambda: heads.put("chain", StoredHead(ChainHead(3, "0" * 64), "here", 1.0)),
            "throttle": lambda: throttle.first("topic", "k1", 60),
            "create": lambda: spaces.create(Namespace("paper", 1.0, None, "")),
            "record": lambda: spaces.put("paper", "key", b"entry"),
        }
        self.last: Mapping[str, Operation] = self._last(spaces, cache)

    @staticmethod
    def _reading(
        directory: RedisDirectory,
        ledger: RedisLedger,
        heads: RedisAuditHead,
        spaces: RedisNamespaces,
        cache: RedisCache,
        purges: RedisPurges,
    ) -> Mapping[str, Operation]:
        """Those that change nothing."""
        return {
            "usage": lambda: ledger.usage("ada", LIMITS),
            "get": lambda: cache.get("here"),
            "purge_state": purges.purge_state,
            "find": lambda: directory.find("k1"),
            "epoch": directory.epoch,
            "keys": directory.keys,
            "approvals": lambda: directory.approvals("ada"),
            "head": lambda: heads.get("chain"),
            "namespaces": spaces.namespaces,
            "entry": lambda: spaces.get("paper", "key"),
            "page": lambda: spaces.page("paper"),
            "contents": lambda: spaces.contents("paper"),
        }

    @staticmethod
    def _last(spaces: RedisNamespaces, cache: RedisCache) -> Mapping[str, Operation]:
        """Those that take away what others have made."""
        return {
            "freeze": lambda: spaces.freeze("paper", 2.0),
            "remove": lambda: spaces.remove("paper", "key"),
            "empty": lambda: spaces.empty("paper"),
            "drop": lambda: spaces.drop("paper"),
            "delete": lambda: cache.delete("there"),
        }

    async def keys(self) -> list[bytes]:
        found: list[bytes] = await self.store.call("keys", "KEYS", f"{self.prefix}*")
        return sorted(found)

    async def clear(self) -> None:
        for key in await self.keys():
            await self.store.call("del", "DEL", key)


def with_adapters(stores: Stores, prefix: str, story: Callable[[Adapters], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = connect(stores.state.url, timeout_s=5.0, name="kinds")
        adapters = Adapters(store, f"kinds-{prefix}:")
        try:
            await story(adapters)
        finally:
            await adapters.clear()
            await store.close()

    asyncio.run(whole())


async def outcome(operation: Operation) -> str:
    """What an operation comes to, where it comes to what is foreseen."""
    try:
        await operation()
    except StoreUnavailable as lost:
        return lost.fault
    except NotStored:
        return "not stored"
    return "done"


@pytest.mark.parametrize("junk", JUNK)
def test_an_operation_on_what_somebody_else_wrote_never_fails_in_another_way(stores: Stores, junk: str) -> None:
    async def story(adapters: Adapters) -> None:
        operations = {**adapters.reading, **adapters.writing, **adapters.last}
        for operation in adapters.writing.values():
            await operation()
        kinds = await adapters.keys()
        assert len(kinds) >= 15, kinds
        for key in kinds:
            for name, operation in operations.items():
                await adapters.store.call("clear", "DEL", key)
                for command, *words in JUNK[junk]:
                    await adapters.store.call("junk", command, key, *words)
                assert await outcome(operation) in ("done", "not stored", "foreign", "busy"), (key, name)
            await adapters.store.call("repair", "DEL", key)
        await adapters.clear()
        for name, operation in {**adapters.writing, **adapters.reading}.items():
            assert await outcome(operation) == "done", name

    with_adapters(stores, junk.replace(" ", "-"), story)


@pytest.mark.parametrize("junk", [b"1_0", b" 7", b"-1", b"+5", "٣".encode(), b"0x1f"])
def test_a_number_is_one_as_the_store_s_commands_write_it(stores: Stores, junk: bytes) -> None:
    async def story(adapters: Adapters) -> None:
        await adapters.store.call("junk", "SET", f"{adapters.prefix}{{keys}}:epoch", junk)
        assert await outcome(adapters.reading["epoch"]) == "foreign"

    with_adapters(stores, "numbers", story)


@pytest.mark.parametrize("junk", [b"nan", b"inf", b"-inf", b"1e999", b"x"])
def test_a_time_of_freezing_is_finite(stores: Stores, junk: bytes) -> None:
    async def story(adapters: Adapters) -> None:
        await adapters.writing["create"]()
        await adapters.store.call("junk", "HSET", f"{adapters.prefix}namespace:{{paper}}", "frozen", junk)
        assert await outcome(adapters.last["freeze"]) == "foreign"

    with_adapters(stores, "frozen", story)


@pytest.mark.parametrize("epoch", ["junk", "1.5"])
def test_a_record_is_not_written_where_the_epoch_cannot_say_so(stores: Stores, epoch: str) -> None:
    async def story(adapters: Adapters) -> None:
        await adapters.store.call("junk", "SET", f"{adapters.prefix}{{keys}}:epoch", epoch)
        assert await outcome(adapters.writing["put_key"]) == "foreign"
        assert await outcome(adapters.writing["put_approval"]) == "foreign"
        assert await adapters.reading["find"]() is None
        assert await adapters.reading["approvals"]() == ()

    with_adapters(stores, "epoch", story)


def test_an_odd_entry_closes_the_cache_for_nobody_and_is_one_that_cannot_be_unsealed(stores: Stores) -> None:
    async def story(adapters: Adapters) -> None:
        await adapters.store.call("junk", "RPUSH", adapters.cache.keys("here")[0], "a")
        for _ in range(20):
            assert await adapters.reading["get"]() == b""
            assert await outcome(adapters.writing["claim"]) == "foreign"
            await asyncio.sleep(0.02)
        assert await outcome(adapters.writing["put first"]) == "done"

    with_adapters(stores, "entry", story)
