"""Which servers may hold what: asked of real ones where the binary at hand can play the part."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_probe import RedisProbe
from gateway.core.store_faults import StoreName
from gateway.ports import StoreUnavailable
from tests.contracts.own_servers import OwnServer, own_server
from tests.contracts.servers import Stores


class Said(RedisStore):
    """A store of which only what INFO says is known: for versions that no binary at hand has."""

    def __init__(self, *nodes: Mapping[str, Any]) -> None:
        self._nodes = nodes

    async def info(self, timeout_s: float = 5.0) -> Sequence[Mapping[str, Any]]:
        return self._nodes

    async def follow_primary(self) -> None:
        return None

    async def reconnect(self) -> None:
        return None


def check(url: str, role: StoreName) -> tuple[str, ...]:
    async def story() -> tuple[str, ...]:
        store = connect(url, timeout_s=5.0, name="fitness")
        try:
            return tuple(await RedisProbe(store, role).check())
        finally:
            await store.close()

    return asyncio.run(story())


def refusal(work: Any) -> str:
    """What is said of a server that is not fit."""
    with pytest.raises(StoreUnavailable) as refused:
        asyncio.run(work) if asyncio.iscoroutine(work) else work()
    assert refused.value.fault == "unsuitable"
    return refused.value.detail


def test_the_embedded_stores_are_fit_for_what_they_are_for(stores: Stores) -> None:
    assert check(stores.state.url, "state") == ()
    assert check(stores.cache.url, "cache") == ()


def test_a_store_that_evicts_may_not_hold_the_state(stores: Stores) -> None:
    said = refusal(lambda: check(stores.cache.url, "state"))
    assert "allkeys-lfu" in said
    assert "noeviction" in said


def test_a_cache_that_would_fill_its_machine_is_warned_about(stores: Stores) -> None:
    assert "maxmemory" in check(stores.state.url, "cache")[0]


def test_every_primary_of_a_cluster_is_looked_at(cluster: str) -> None:
    warnings = check(cluster, "state")
    assert len(warnings) == 1
    assert "append-only" in warnings[0]
    good = {"redis_version": "7.2.0", "aof_enabled": 1}
    evicts = {**good, "maxmemory": 1000, "maxmemory_policy": "volatile-ttl"}
    assert "volatile-ttl" in refusal(RedisProbe(Said(good, evicts), "state").check())


@pytest.mark.parametrize(
    "node, fit",
    [
        ({"redis_version": "6.2.14"}, False),
        ({"redis_version": "7.0.0"}, True),
        ({"redis_version": "10.0.1"}, True),
        ({"redis_version": "7.2.4", "valkey_version": "7.1.9"}, False),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.0"}, True),
        ({}, False),
    ],
)
def test_old_servers_are_refused(node: Mapping[str, Any], fit: bool) -> None:
    store = Said({"aof_enabled": 1, **node})
    if fit:
        assert asyncio.run(RedisProbe(store, "state").check()) == ()
        return
    assert "too old" in refusal(RedisProbe(store, "state").check())


EVICTS = ("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
KEEPS = ("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")


async def fault(store: RedisStore) -> str:
    """Why a write is not done; "" where it is."""
    try:
        await store.call("set", "SET", "esmgw:fit", "1")
    except StoreUnavailable as lost:
        return lost.fault
    return ""


def with_own_server(tmp_path: Path, story: Callable[[OwnServer, RedisStore], Awaitable[None]]) -> None:
    async def whole(server: OwnServer) -> None:
        store = connect(server.url, timeout_s=2.0, name="fit", role="state")
        try:
            await story(server, store)
        finally:
            await store.close()

    with own_server(tmp_path / "own", "--appendonly", "yes") as server:
        asyncio.run(whole(server))


def test_a_server_is_looked_at_before_anything_is_sent_to_it_and_at_every_connection(tmp_path: Path) -> None:
    async def story(server: OwnServer, store: RedisStore) -> None:
        assert (await fault(store), store.warnings) == ("", ())
        server.kill()
        assert await fault(store) in ("refused", "disconnected")
        server.start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
        server.say("DEL", "esmgw:fit")
        for _ in range(3):
            assert await fault(store) == "unsuitable"
        assert server.say("EXISTS", "esmgw:fit") == 0
        server.say(*KEEPS)
        assert await fault(store) == ""
        server.kill()
        server.start("--appendonly", "no")
        assert await fault(store) in ("", "disconnected")
        assert await fault(store) == ""
        assert "append-only" in store.warnings[0]

    with_own_server(tmp_path, story)


def test_what_a_running_server_is_told_counts_from_the_next_look_on(tmp_path: Path) -> None:
    async def story(server: OwnServer, store: RedisStore) -> None:
        probe = RedisProbe(store, "state")
        assert await fault(store) == ""
        server.say(*EVICTS)
        with pytest.raises(StoreUnavailable) as refused:
            await probe.check()
        assert refused.value.fault == "unsuitable"
        assert await fault(store) == "unsuitable"
        with pytest.raises(StoreUnavailable):
            await probe.try_change()
        server.say(*KEEPS)
        assert await fault(store) == ""
        await probe.try_change()

    with_own_server(tmp_path, story)


def test_a_primary_that_becomes_a_replica_is_left_at_the_next_look(tmp_path: Path) -> None:
    async def story(server: OwnServer, store: RedisStore) -> None:
        assert await fault(store) == ""
        server.say("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreUnavailable) as refused:
            await RedisProbe(store, "state").check()
        assert refused.value.fault == "read_only"
        server.say("REPLICAOF", "NO", "ONE")
        assert await fault(store) == ""

    with_own_server(tmp_path, story)


def test_every_node_of_a_cluster_is_looked_at_when_it_is_connected_to(cluster: str) -> None:
    async def story() -> None:
        store = connect(cluster, timeout_s=5.0, name="fit", role="state")
        try:
            assert await fault(store) == ""
            assert "append-only" in store.warnings[0]
            await store.reconnect()
            assert await fault(store) == ""
        finally:
            await store.close()

    asyncio.run(story())
