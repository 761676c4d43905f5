"""Which servers may hold what: asked of real ones where the binary at hand can play the part."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_preflight import UnsuitableStore, check_cache_store, check_state_store
from tests.contracts.servers import Stores


class Said(RedisStore):
    """A store of which only what INFO says is known: for versions that no binary at hand has."""

    def __init__(self, *nodes: Mapping[str, Any]) -> None:
        self._nodes = nodes

    async def info(self, timeout_s: float = 5.0) -> Sequence[Mapping[str, Any]]:
        return self._nodes


def check(url: str, role: str) -> tuple[str, ...]:
    async def story() -> tuple[str, ...]:
        store = connect(url, timeout_s=5.0, name="fitness")
        try:
            return await (check_state_store(store) if role == "state" else check_cache_store(store))
        finally:
            await store.close()

    return asyncio.run(story())


def test_the_embedded_stores_are_fit_for_what_they_are_for(stores: Stores) -> None:
    assert check(stores.state.url, "state") == ()
    assert check(stores.cache.url, "cache") == ()


def test_a_store_that_evicts_may_not_hold_the_state(stores: Stores) -> None:
    with pytest.raises(UnsuitableStore, match=r"allkeys-lfu.*noeviction"):
        check(stores.cache.url, "state")


def test_a_cache_that_would_fill_its_machine_is_warned_about(stores: Stores) -> None:
    assert "maxmemory" in check(stores.state.url, "cache")[0]


def test_every_primary_of_a_cluster_is_looked_at(cluster: str) -> None:
    warnings = check(cluster, "state")
    assert len(warnings) == 1
    assert "append-only" in warnings[0]
    good = {"redis_version": "7.2.0", "aof_enabled": 1}
    with pytest.raises(UnsuitableStore):
        asyncio.run(check_state_store(Said(good, {**good, "maxmemory": 1000, "maxmemory_policy": "volatile-ttl"})))


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
        assert asyncio.run(check_state_store(store)) == ()
        return
    with pytest.raises(UnsuitableStore, match="too old"):
        asyncio.run(check_state_store(store))
