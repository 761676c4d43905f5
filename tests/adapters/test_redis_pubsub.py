"""Listening to a store: one connection for all, left channel by channel, and nobody waits for one that is broken."""

import asyncio

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.ports import StoreUnavailable
from tests.contracts.proxy import Proxy
from tests.contracts.servers import Stores, eventually


async def channels(store: RedisStore, prefix: str) -> int:
    found: list[bytes] = await store.call("channels", "PUBSUB", "CHANNELS", f"{prefix}*")
    return len(found)


def test_a_channel_is_left_with_its_last_listener_and_all_share_one_connection(stores: Stores) -> None:
    async def story() -> None:
        store = connect(stores.cache.url, timeout_s=5.0, name="listening")
        cache = RedisCache(store, SystemClock(), b"k" * 32, prefix="left:")
        news = [(f"at{i % 10}", await cache.subscribe(f"at{i % 10}")) for i in range(20)]
        assert await channels(store, "left:") == 10
        clients: bytes = await store.call("clients", "CLIENT", "LIST", "TYPE", "pubsub")
        assert clients.count(b" name=listening ") == 1
        for address, each in news[:10]:
            cache.unsubscribe(address, each)
        assert await channels(store, "left:") == 10
        for address, each in news[10:]:
            cache.unsubscribe(address, each)

        async def all_left() -> bool:
            return await channels(store, "left:") == 0

        await eventually(all_left, "the end of the subscriptions")
        connection = store.pubsub._connection
        assert connection is not None
        assert (connection._subscribers, connection._confirmed, dict(connection._unconfirmed)) == ({}, {}, {})
        await store.close()

    asyncio.run(story())


def test_who_listens_on_a_connection_that_breaks_is_woken_and_can_listen_anew(stores: Stores) -> None:
    async def story() -> None:
        async with Proxy(stores.cache.socket).listening() as proxy:
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=5.0, name="cut")
            other = connect(stores.cache.url, timeout_s=5.0, name="other")
            cache = RedisCache(store, SystemClock(), b"k" * 32, prefix="cut:")
            sender = RedisCache(other, SystemClock(), b"k" * 32, prefix="cut:")
            for address in ("here", "there"):
                await sender.claim(address, "ours", 60)
            heard = [await cache.subscribe(address) for address in ("here", "there")]
            await other.call("kill", "CLIENT", "KILL", "TYPE", "pubsub")
            async with asyncio.timeout(10.0):
                assert [await each for each in heard] == [b"", b""]
                again = await cache.subscribe("here")
                await sender.put("here", b"answer", 60, False, "ours")
                assert await again == b"answer"
            for each in (store, other):
                await each.close()

    asyncio.run(story())


def test_a_store_that_does_not_confirm_is_not_waited_for_and_is_asked_on_another_connection_next(
    stores: Stores,
) -> None:
    async def story() -> None:
        async with Proxy(stores.cache.socket).listening() as proxy:
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.1, name="silent")
            cache = RedisCache(store, SystemClock(), b"k" * 32, prefix="silent:")
            proxy.losing = "swallow"
            with pytest.raises(StoreUnavailable, match="listen"):
                await cache.subscribe("here")
            proxy.losing = None

            async def hears() -> bool:
                try:
                    return not (await cache.subscribe("here")).done()
                except StoreUnavailable:
                    return False

            await eventually(hears, "the store's return")
            await store.close()

    asyncio.run(story())


def test_a_user_of_the_store_who_may_not_publish_or_listen_keeps_the_cache(stores: Stores) -> None:
    async def story() -> None:
        root = connect(stores.cache.url, timeout_s=5.0, name="root")
        rights = ("on", ">pass", "~*", "+@all", "resetchannels")
        await root.call("acl", "ACL", "SETUSER", "mute", *rights)
        async with Proxy(stores.cache.socket).listening() as proxy:
            store = connect(f"redis://mute:pass@127.0.0.1:{proxy.port}", timeout_s=5.0, name="mute")
            cache = RedisCache(store, SystemClock(), b"k" * 32, prefix="mute:")
            assert (await cache.claim("here", "ours", 60)).acquired
            assert await cache.put("here", b"x", 60, False, "ours") is None
            assert await cache.get("here") == b"x"
            with pytest.raises(StoreUnavailable, match="listen"):
                await cache.subscribe("here")
            await store.close()
        await root.call("acl", "ACL", "DELUSER", "mute")
        await root.close()

    asyncio.run(story())


def test_a_miss_costs_two_round_trips(stores: Stores) -> None:
    async def story() -> None:
        async with Proxy(stores.cache.socket).listening() as proxy:
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=5.0, name="two")
            cache = RedisCache(store, SystemClock(), b"k" * 32, prefix="two:")
            for address in ("warm", "here"):
                proxy.commands.clear()
                await cache.claim(address, "ours", 60)
                await cache.put(address, b"x", 60, False, "ours")
            assert proxy.work() == [b"EVALSHA", b"EVALSHA"]
            await store.close()

    asyncio.run(story())
