"""A store that is opened at its first use: once, whoever asks, and again only if that failed."""

import asyncio
from typing import Any

import pytest

from gateway.adapters.lazy_store import LazyStore
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.ports import StoreUnavailable
from tests.contracts.servers import Stores


def test_many_who_ask_at_once_open_it_once(stores: Stores) -> None:
    opened: list[RedisStore] = []

    async def open_store() -> RedisStore:
        await asyncio.sleep(0)
        opened.append(connect(stores.state.url, timeout_s=5.0, name="lazy"))
        return opened[-1]

    async def story() -> None:
        store = LazyStore(open_store, 5.0)
        assert store.timeout_s == 5.0
        assert opened == []
        asked: list[Any] = [store.call("ping", "PING") for _ in range(5)]
        assert await asyncio.gather(*asked) == [True] * 5
        assert (await store.info())[0]["run_id"]
        assert len(opened) == 1
        await store.close()

    asyncio.run(story())


def test_one_that_could_not_be_opened_is_tried_again_by_the_next(stores: Stores) -> None:
    outcomes: list[str] = ["lost", stores.state.url]

    async def open_store() -> RedisStore:
        url = outcomes.pop(0)
        if url == "lost":
            raise StoreUnavailable("it hangs")
        return connect(url, timeout_s=5.0, name="lazy")

    async def story() -> None:
        store = LazyStore(open_store, 5.0)
        with pytest.raises(StoreUnavailable, match="it hangs"):
            await store.call("ping", "PING")
        assert await store.call("ping", "PING") is True
        await store.close()

    asyncio.run(story())


def test_one_that_was_never_used_is_closed_without_being_opened() -> None:
    async def open_store() -> RedisStore:
        raise AssertionError("it was opened")

    async def story() -> None:
        await LazyStore(open_store, 5.0).close()

    asyncio.run(story())
