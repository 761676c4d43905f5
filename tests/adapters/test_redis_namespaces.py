"""Namespaces in a real store: crashes half-way, forgeries, lost replies, and a hundred thousand entries."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_namespaces import RedisNamespaces
from gateway.core.types import Namespace
from gateway.ports import NamespaceContents, NotStored, StoreUnavailable
from tests.contracts.proxy import Proxy
from tests.contracts.servers import Stores
from tests.fakes.world import FakeMeter

SEALING = b"k" * 32
PAPER = Namespace("paper", 1000.0, None, "note")
Story = Callable[[RedisNamespaces, RedisStore], Awaitable[None]]


@asynccontextmanager
async def opened(
    url: str, prefix: str, meter: FakeMeter, timeout_s: float = 5.0
) -> AsyncIterator[tuple[RedisNamespaces, RedisStore]]:
    store = connect(url, timeout_s=timeout_s, name="archive")
    try:
        yield RedisNamespaces(store, SEALING, SystemClock(), meter, 2**30, prefix=prefix), store
    finally:
        await store.close()


def play(stores: Stores, prefix: str, story: Story, meter: FakeMeter | None = None) -> None:
    async def whole() -> None:
        async with opened(stores.state.url, prefix, meter or FakeMeter()) as (namespace_store, store):
            await story(namespace_store, store)

    asyncio.run(whole())


def test_a_creation_that_was_cut_off_is_ended_by_creating_again(stores: Stores) -> None:
    async def story(namespace_store: RedisNamespaces, store: RedisStore) -> None:
        await namespace_store.create(PAPER)
        await store.call("test", "HDEL", "cut-create:namespaces", "paper")  # as if it had ended after its first step
        assert dict(await namespace_store.namespaces()) == {}
        again = Namespace("paper", 2000.0)
        assert await namespace_store.create(again)
        assert await namespace_store.put("paper", "a" * 64, b"x") is None
        assert dict(await namespace_store.namespaces()) == {"paper": again}

    play(stores, "cut-create:", story)


def test_a_freeze_that_was_cut_off_is_obeyed_and_ended_by_freezing_again(stores: Stores) -> None:
    async def story(namespace_store: RedisNamespaces, store: RedisStore) -> None:
        await namespace_store.create(PAPER)
        await store.call("test", "HSET", "cut-freeze:namespace:{paper}", "frozen", "3000.5")
        with pytest.raises(NotStored, match="frozen"):
            await namespace_store.put("paper", "a" * 64, b"x")
        assert await namespace_store.freeze("paper", 4000.0)
        assert (await namespace_store.namespaces())["paper"].frozen == 3000.5

    play(stores, "cut-freeze:", story)


def test_a_drop_that_was_cut_off_takes_nothing_and_is_ended_by_dropping_again(stores: Stores) -> None:
    async def story(namespace_store: RedisNamespaces, store: RedisStore) -> None:
        await namespace_store.create(PAPER)
        await namespace_store.put("paper", "a" * 64, b"x")
        await store.call("test", "UNLINK", "cut-drop:namespace:{paper}", "cut-drop:namespace:{paper}:order")
        with pytest.raises(NotStored, match="gone"):
            await namespace_store.put("paper", "b" * 64, b"x")
        assert await namespace_store.contents("paper") == NamespaceContents(0, 0, closed=True)
        assert not await namespace_store.create(PAPER)
        await namespace_store.drop("paper")
        assert await namespace_store.create(PAPER)
        assert await namespace_store.get("paper", "a" * 64) is None

    play(stores, "cut-drop:", story)


def test_a_freeze_does_not_bring_back_what_is_dropped_at_the_same_time(stores: Stores) -> None:
    async def story(namespace_store: RedisNamespaces, store: RedisStore) -> None:
        for i in range(20):
            name = f"paper{i}"
            await namespace_store.create(Namespace(name, 1.0))
            await asyncio.gather(namespace_store.freeze(name, 2.0), namespace_store.drop(name))
            assert name not in await namespace_store.namespaces()

    play(stores, "freeze-drop:", story)


def test_a_forged_or_swapped_description_is_none_and_is_counted(stores: Stores) -> None:
    meter = FakeMeter()

    async def story(namespace_store: RedisNamespaces, store: RedisStore) -> None:
        await namespace_store.create(PAPER)
        await namespace_store.create(Namespace("live", 1.0))
        await namespace_store.freeze("paper", 2.0)
        blob = await store.call("test", "HGET", "forged:namespaces", "live")
        await store.call("test", "HSET", "forged:namespaces", "paper", blob)  # would make it live again
        await store.call("test", "HSET", "forged:namespaces", b"\xff\xfe", b'{"created":1}')
        assert set(await namespace_store.namespaces()) == {"live"}

    play(stores, "forged:", story, meter)
    assert meter.counts[("esmgw_store_errors_total", "state", "forged")] == 2


@pytest.mark.parametrize("losing", ["swallow", "cut"])
def test_an_entry_whose_reply_is_lost_stands_and_is_found_by_the_next(stores: Stores, losing: str) -> None:
    async def story() -> None:
        async with Proxy(stores.state.socket).listening() as proxy:
            url, prefix = f"redis://127.0.0.1:{proxy.port}", f"lost-{losing}:"
            async with opened(url, prefix, FakeMeter()) as (namespace_store, _):
                await namespace_store.create(PAPER)
            async with opened(url, prefix, FakeMeter(), timeout_s=0.2) as (namespace_store, _):
                assert await namespace_store.get("paper", "a" * 64) is None
                proxy.losing = losing
                with pytest.raises(StoreUnavailable):
                    await namespace_store.put("paper", "a" * 64, b"first")
                proxy.losing = None
            async with opened(url, prefix, FakeMeter()) as (namespace_store, _):
                assert await namespace_store.put("paper", "a" * 64, b"second") == b"first"
                assert await namespace_store.contents("paper") == NamespaceContents(1, 5, closed=False)

    asyncio.run(story())


async def filled(store: RedisStore, key: str, entries: int) -> None:
    for start in range(0, entries, 1000):
        numbers = range(start, start + 1000)
        pairs = [word for i in numbers for word in (f"{i:064x}", b"x" * 100)]
        scores = [word for i in numbers for word in (i + 1, f"{i:064x}")]
        await store.call("test", "HSET", key, *pairs)
        await store.call("test", "ZADD", f"{key}:order", *scores)
    await store.call("test", "HSET", key, "open", "1", "bytes", entries * 100, "last_number", entries)


async def sent(store: RedisStore) -> int:
    return int((await store.info())[0]["total_net_output_bytes"])


def test_what_the_store_sends_does_not_depend_on_how_many_entries_there_are(stores: Stores) -> None:
    async def cost(namespace_store: RedisNamespaces, store: RedisStore, name: str, entries: int) -> int:
        await filled(store, f"many:namespace:{{{name}}}", entries)
        before = await sent(store)
        assert (await namespace_store.contents(name)).entries == entries
        await namespace_store.get(name, f"{5:064x}")
        assert await namespace_store.put(name, "f" * 64, b"x") is None
        assert await namespace_store.put(name, f"{5:064x}", b"x") == b"x" * 100
        assert await namespace_store.remove(name, f"{7:064x}")
        assert len(await namespace_store.page(name, entries // 2)) == 256
        await namespace_store.freeze(name, 1.0)
        assert await namespace_store.drop(name) == entries
        return await sent(store) - before

    async def story(namespace_store: RedisNamespaces, store: RedisStore) -> None:
        few, many = await cost(namespace_store, store, "few", 1000), await cost(namespace_store, store, "all", 100_000)
        assert abs(many - few) < 0.05 * few

    play(stores, "many:", story)
