"""Clients of the stores: addressed strictly, sent once, bounded in time, back when the store is back."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from gateway.adapters.clock import SystemClock
from gateway.adapters.embedded_store import open_store
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_connect import RedisStore, connect, load_script
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_ledger import RedisLedger
from gateway.adapters.redis_purges import RedisPurges
from gateway.adapters.redis_url import parse_address
from gateway.core.quota import Limit, Reservation
from gateway.core.types import Approval, KeyRecord
from gateway.ports import StoreUnavailable
from tests.contracts.proxy import Proxy
from tests.contracts.servers import Stores, free_ports, running_cluster
from tests.fakes.world import FakeMeter

RATE = (Limit("user-requests", "rate", "u:ada", 60, 60, 60),)
CALL = Reservation("r1", "ada", (Limit("user-concurrent", "concurrency", "u:ada", 4, 1, 4),), 1)
SEALING = b"s" * 32


def ledger(store: RedisStore) -> RedisLedger:
    return RedisLedger(store, prefix="connect:")


def cache(store: RedisStore) -> RedisCache:
    return RedisCache(store, SystemClock(), b"k" * 32, prefix="connect:")


def purges(store: RedisStore) -> RedisPurges:
    return RedisPurges(store, store, b"k" * 32, SystemClock(), FakeMeter(), prefix="connect:")


def directory(store: RedisStore) -> RedisDirectory:
    return RedisDirectory(store, SEALING, SystemClock(), FakeMeter(), prefix="connect:")


Operation = Callable[[RedisStore], Awaitable[Any]]
OPERATIONS: dict[str, Operation] = {
    "charge_rate": lambda store: ledger(store).charge_rate("ada", RATE, 0),
    "return_rate": lambda store: ledger(store).return_rate("ada", RATE, 1, 0),
    "reserve": lambda store: ledger(store).reserve(CALL, 60),
    "settle": lambda store: ledger(store).settle(CALL, 1),
    "usage": lambda store: ledger(store).usage("ada", RATE),
    "get": lambda store: cache(store).get("here"),
    "put": lambda store: cache(store).put("here", b"x", 60, False),
    "put first": lambda store: cache(store).put("here", b"x", 60, True),
    "store and publish": lambda store: cache(store).put("here", b"x", 60, False, "ours"),
    "delete": lambda store: cache(store).delete("here"),
    "claim": lambda store: cache(store).claim("here", "ours", 60),
    "renew": lambda store: cache(store).renew("here", "ours", 60),
    "release": lambda store: cache(store).release("here", "ours"),
    "purge_state": lambda store: purges(store).purge_state(),
    "high_water": lambda store: purges(store).high_water(),
    "raise_high_water": lambda store: purges(store).raise_high_water(1),
    "changes": lambda store: cache(store).changes(None),
    "find": lambda store: directory(store).find("k1"),
    "epoch": lambda store: directory(store).epoch(),
    "put_key": lambda store: directory(store).put_key(KeyRecord("k1", "d", "ada", "lab", 1.0)),
    "put_approval": lambda store: directory(store).put_approval(Approval("g1", "ada", ("b", "c"), "why", 1.0, 2.0)),
    "keys": lambda store: directory(store).keys(),
    "approvals": lambda store: directory(store).approvals("ada"),
}

OF_THE_CACHE = (
    "get",
    "put",
    "put first",
    "store and publish",
    "delete",
    "claim",
    "renew",
    "release",
    "purge_state",
    "changes",
)


@pytest.mark.parametrize("losing", ["swallow", "cut"])
def test_a_command_whose_reply_is_lost_reached_the_server_once(stores: Stores, losing: str) -> None:
    async def lose(name: str, operation: Operation) -> list[bytes]:
        async with Proxy(stores.state.socket).listening() as proxy:
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=10.0, name="lost")
            await operation(store)
            # Short only now: a busy machine may take longer over twenty connections than a lost reply is waited for.
            # Most of what is asked of a cache waits for ten deadlines.
            store.timeout_s = 0.1 if name in OF_THE_CACHE else 1.0
            proxy.commands.clear()
            proxy.losing = losing
            with pytest.raises(StoreUnavailable):
                await operation(store)
            await store.close()
            return proxy.work()

    async def story() -> None:
        reached = await asyncio.gather(*(lose(*each) for each in OPERATIONS.items()))
        assert {name: len(work) for name, work in zip(OPERATIONS, reached, strict=True)} == dict.fromkeys(OPERATIONS, 1)

    asyncio.run(story())


def test_a_clusters_client_sends_once_too() -> None:
    async def story(node: int, port: int) -> None:
        async with Proxy(node).listening(port) as proxy:
            store = connect(f"redis+cluster://127.0.0.1:{port}", timeout_s=0.7, name="lost")
            for name, losing in itertools.product(("charge_rate", "get", "put_key"), ("swallow", "cut")):
                proxy.losing = None
                await OPERATIONS[name](store)
                proxy.commands.clear()
                proxy.losing = losing
                with pytest.raises(StoreUnavailable):
                    await OPERATIONS[name](store)
                assert len(proxy.work()) == 1
            await store.close()

    (port,) = free_ports(1)
    with running_cluster(1, announced_port=port) as (node,):
        asyncio.run(story(node, port))


def test_no_client_is_made_with_retries(stores: Stores) -> None:
    async def story() -> None:
        single = connect(stores.state.url, timeout_s=1.0, name="a").client
        sentinel = connect("redis+sentinel://127.0.0.1:1,127.0.0.1:2/main", timeout_s=1.0, name="b")
        cluster = connect("redis+cluster://127.0.0.1:1", timeout_s=1.0, name="c").client
        assert isinstance(cluster, RedisCluster)
        assert cluster.retry.get_retries() == 0
        for client in (single, sentinel.client, *(sentinel._sentinels.sentinels if sentinel._sentinels else ())):
            assert isinstance(client, Redis)
            connection: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            assert connection.retry.get_retries() == 0
            assert connection.health_check_interval == 0

    asyncio.run(story())


def test_a_server_that_forgot_its_scripts_is_told_them_again(stores: Stores) -> None:
    async def story() -> None:
        store = connect(stores.state.url, timeout_s=5.0, name="scripts")
        for _ in range(2):
            await store.call("forget", "SCRIPT FLUSH")
            assert (await RedisLedger(store, prefix="scripts:").charge_rate("ada", RATE, 0)).admitted
        assert (await RedisLedger(store, prefix="scripts:").usage("ada", RATE))[0].used == 58
        await store.close()

    asyncio.run(story())


def test_many_more_callers_than_connections_are_all_served(stores: Stores) -> None:
    async def story() -> None:
        store = connect(stores.state.url, timeout_s=10.0, name="crowd", max_connections=4)
        answers = await asyncio.gather(*(store.call("echo", "ECHO", b"%d" % i) for i in range(500)))
        assert answers == [b"%d" % i for i in range(500)]
        clients: bytes = await store.call("clients", "CLIENT", "LIST")
        assert 1 <= clients.count(b" name=crowd ") <= 4
        await store.close()

    asyncio.run(story())


def test_a_caller_who_goes_away_does_not_leave_his_answer_to_the_next(stores: Stores) -> None:
    async def story() -> None:
        store = connect(stores.state.url, timeout_s=5.0, name="hasty", max_connections=1)
        await store.call("echo", "ECHO", b"warm")
        for i in range(20):
            hasty = asyncio.create_task(store.call("echo", "ECHO", b"unwanted"))
            for _ in range(i):
                await asyncio.sleep(0)
            hasty.cancel()
            assert await store.call("echo", "ECHO", b"%d" % i) == b"%d" % i
        await store.close()

    asyncio.run(story())


def test_a_silent_store_costs_no_more_than_the_deadline(stores: Stores) -> None:
    async def story() -> None:
        async with Proxy(stores.state.socket).listening() as proxy:
            proxy.losing = "swallow"
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.1, name="silent", max_connections=2)
            began = time.monotonic()
            results = await asyncio.gather(*(store.call("get", "GET", "x") for _ in range(20)), return_exceptions=True)
            assert {type(result) for result in results} == {StoreUnavailable}
            # All of them together, also those who waited for a connection: the deadline is over the waiting too.
            assert time.monotonic() - began < 0.1 + 0.4
            await store.close()

    asyncio.run(story())


def test_a_store_that_is_back_is_used_again_by_the_same_client(tmp_path: Path) -> None:
    async def story() -> None:
        server = await open_store(tmp_path, "state")
        store = connect(server.url, timeout_s=1.0, name="patient")
        await store.call("set", "SET", "k", "v")
        await server.stop()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="get"):
            await store.call("get", "GET", "k")
        assert time.monotonic() - began < 0.3
        server = await open_store(tmp_path, "state")
        assert await store.call("get", "GET", "k") == b"v"
        await store.close()
        await server.stop()

    asyncio.run(story())


@pytest.mark.parametrize("form", ["redis://{}", "redis+cluster://{}", "redis+sentinel://{}/main"])
def test_a_store_that_was_never_there_is_unavailable(form: str) -> None:
    async def story() -> None:
        (port,) = free_ports(1)
        store = connect(form.format(f"127.0.0.1:{port}"), timeout_s=2.0, name="nobody")
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="get"):
                await store.call("get", "GET", "k")
            with pytest.raises(StoreUnavailable, match="claim"):
                await store.run("claim", load_script("claim"), ("{a}c", "{a}l"), ("ours", 60))
        await store.close()

    asyncio.run(story())


def test_an_error_of_the_server_is_an_unavailable_store(stores: Stores) -> None:
    async def story() -> None:
        store = connect(stores.state.url, timeout_s=5.0, name="wrong")
        await store.call("set", "SET", "connect:text", "v")
        with pytest.raises(StoreUnavailable, match="push"):
            await store.call("push", "LPUSH", "connect:text", "secret value")
        with pytest.raises(StoreUnavailable, match="claim"):
            await store.run("claim", load_script("claim"), ("{a}", "{b}"), ())
        await store.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "url, mode, hosts",
    [
        ("redis://store", "single", (("store", 6379),)),
        ("rediss://ada:p%40ss@store:7000/3", "single", (("store", 7000),)),
        ("redis://[::1]:7000", "single", (("::1", 7000),)),
        ("redis+sentinel://a,b:7/main/2", "sentinel", (("a", 26379), ("b", 7))),
        ("redis+cluster://a:1,b:2,[::1]", "cluster", (("a", 1), ("b", 2), ("::1", 6379))),
        ("unix:///run/a%20b/socket", "unix", ()),
    ],
)
def test_an_address_is_read(url: str, mode: str, hosts: tuple[tuple[str, int], ...]) -> None:
    address = parse_address(url)
    assert (address.mode, address.hosts) == (mode, hosts)


@pytest.mark.parametrize(
    "url, tls, sentinel_tls, user",
    [
        ("redis+sentinel://a/main", False, False, None),
        ("rediss+sentinel://a/main", True, True, None),
        ("redis+sentinel://a/main?sentinel_tls=yes&ssl_ca_certs=/ca.pem", False, True, None),
        ("rediss+sentinel://ada@a/main?sentinel_tls=no&sentinel_user=eve", True, False, "eve"),
        ("rediss://a", True, False, None),
    ],
)
def test_sentinels_have_a_user_and_tls_of_their_own(url: str, tls: bool, sentinel_tls: bool, user: str | None) -> None:
    address = parse_address(url)
    assert (address.tls, address.sentinel_tls, address.sentinel_user) == (tls, sentinel_tls, user)
    connect(url, timeout_s=1.0, name="a", sentinel_password="of theirs")  # every parameter is one that the client takes


def test_an_address_says_who_and_where_exactly() -> None:
    address = parse_address("rediss+sentinel://ada:p%40ss@a:1/main/2?ssl_ca_certs=/ca.pem")
    assert (address.username, address.password, address.service, address.db) == ("ada", "p@ss", "main", 2)
    assert (address.tls, address.files) == (True, {"ssl_ca_certs": "/ca.pem"})
    assert "p@ss" not in repr(address)
    assert parse_address("unix:///run/a%20b?db=3").path == "/run/a b"
    assert parse_address("unix:///run/a%20b?db=3").db == 3


@pytest.mark.parametrize(
    "url",
    [
        "http://hush@store",
        "redis://",
        "redis://:hush@a,b",
        "redis://:hush@store:x",
        "redis://:hush@store/first",
        "redis://:hush@store?timeout=9",
        "redis://:hush@store?ssl_ca_certs=/ca.pem",
        "unix://relative",
        "redis+sentinel://:hush@a",
        "redis+sentinel://:hush@a/main?sentinel_tls=maybe",
        "redis+sentinel://:hush@a/main?ssl_ca_certs=/ca.pem",
        "redis://:hush@a?sentinel_user=eve",
        "redis+cluster://:hush@a/1",
    ],
)
def test_an_unfit_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_address(url)
    assert "hush" not in str(caught.value)
