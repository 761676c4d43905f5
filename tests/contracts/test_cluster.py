"""A cluster that changes under its clients: redirections are followed, and what was counted stays counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis, RedisCluster

from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_ledger import RedisLedger
from gateway.core.quota import DAY_S, Limit, Reservation
from tests.contracts.servers import SLOTS

RATE = (Limit("user-requests", "rate", "u:ada", 6, 60, 10),)
WORK = (
    Limit("user-concurrent", "concurrency", "u:ada", 4, 1, 4),
    Limit("key-concurrent", "concurrency", "k:abc", 4, 1, 4),
    Limit("user-units", "units", "u:ada", 100, DAY_S, 100),
)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[RedisStore, RedisLedger]]:
    store = connect(url, timeout_s=5.0, name="moving")
    try:
        yield store, RedisLedger(store, prefix="moving:")
    finally:
        await store.close()


class Move:
    """The slot of one user, on its way from the node that has it to another one."""

    def __init__(self, url: str, user: str) -> None:
        ports = [int(host.rpartition(":")[2]) for host in url.removeprefix("redis+cluster://").split(",")]
        self._nodes: list[Any] = [Redis(host="127.0.0.1", port=port) for port in ports]
        self._key = f"moving:{{u:{user}}}:user-requests:u:ada"

    async def __aenter__(self) -> "Move":
        self.slot = await self._nodes[0].execute_command("CLUSTER KEYSLOT", self._key)
        owner = self.slot * len(self._nodes) // SLOTS
        self.source, self.target = self._nodes[owner], self._nodes[(owner + 1) % len(self._nodes)]
        self.source_id = (await self.source.execute_command("CLUSTER MYID")).decode()
        self.target_id = (await self.target.execute_command("CLUSTER MYID")).decode()
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self._nodes:
            await node.aclose()

    async def begin(self) -> None:
        await self.target.execute_command("CLUSTER SETSLOT", self.slot, "IMPORTING", self.source_id)
        await self.source.execute_command("CLUSTER SETSLOT", self.slot, "MIGRATING", self.target_id)

    async def end(self, node_id: str) -> None:
        for node in (self.target, self.source):
            await node.execute_command("CLUSTER SETSLOT", self.slot, "NODE", node_id)

    async def carry(self) -> None:
        keys = await self.source.execute_command("CLUSTER GETKEYSINSLOT", self.slot, 100)
        kwargs = self.target.connection_pool.connection_kwargs
        for key in keys:
            await self.source.execute_command("MIGRATE", "127.0.0.1", kwargs["port"], key, 0, 5000)


def test_the_scripts_of_one_user_keep_to_one_node_and_users_are_spread(cluster: str) -> None:
    async def story() -> None:
        async with opened(cluster) as (store, ledger):
            for i in range(30):
                call = Reservation(f"r{i}", f"user{i}", WORK, 5)
                assert (await ledger.charge_rate(f"user{i}", RATE, 0)).admitted
                assert (await ledger.reserve(call, 60)).admitted
                await ledger.settle(call, 3)
                assert [usage.used for usage in await ledger.usage(f"user{i}", WORK)] == [0, 0, 3]
            client = store.client
            assert isinstance(client, RedisCluster)
            sizes = await client.execute_command("DBSIZE", target_nodes=RedisCluster.PRIMARIES)
            assert sizes >= 90
            nodes = await store.info()
            assert len(nodes) == 3
            assert all(node["db0"]["keys"] > 0 for node in nodes)

    asyncio.run(story())


def test_a_client_with_an_old_map_is_redirected_and_nothing_is_charged_twice(cluster: str) -> None:
    async def story() -> None:
        async with opened(cluster) as (_, ledger), Move(cluster, "moved") as move:
            assert (await ledger.charge_rate("moved", RATE, 0)).statuses[0].remaining == 9
            await move.begin()
            await move.carry()
            await move.end(move.target_id)
            # The client still asks the node that had it: MOVED.
            assert (await ledger.charge_rate("moved", RATE, 0)).statuses[0].remaining == 8
            assert (await ledger.charge_rate("moved", RATE, 0)).statuses[0].remaining == 7
            await move.target.execute_command("FLUSHDB")
            await move.end(move.source_id)

    asyncio.run(story())


def test_a_user_who_is_just_being_moved_is_found_where_he_goes(cluster: str) -> None:
    async def story() -> None:
        async with opened(cluster) as (_, ledger), Move(cluster, "moving") as move:
            assert (await ledger.charge_rate("moving", RATE, 0)).statuses[0].remaining == 9
            await move.begin()
            # Still here: answered here.
            assert (await ledger.charge_rate("moving", RATE, 0)).statuses[0].remaining == 8
            await move.carry()
            # Gone already, and the move not over: ASK.
            assert (await ledger.charge_rate("moving", RATE, 0)).statuses[0].remaining == 7
            await move.end(move.target_id)
            assert (await ledger.charge_rate("moving", RATE, 0)).statuses[0].remaining == 6
            await move.target.execute_command("FLUSHDB")
            await move.end(move.source_id)

    asyncio.run(story())
