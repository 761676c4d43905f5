"""A store that is opened at its first use, so that a command does not wait for a store that it does not need."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from redis.asyncio.client import PubSub

from gateway.adapters.redis_connect import TOPOLOGY_S, RedisStore, Word
from gateway.adapters.redis_pubsub import PubSubClient


class LazyStore(RedisStore):
    """`RedisStore` around one that `open_store` opens, once. What that raises is raised by the operation."""

    def __init__(self, open_store: Callable[[], Awaitable[RedisStore]], timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.pubsub = PubSubClient(self._subscriber)
        self._open = open_store
        self._opening = asyncio.Lock()
        self._store: RedisStore | None = None

    async def call(self, operation: str, *words: Word, timeout_s: float | None = None, **options: Any) -> Any:
        return await (await self._opened()).call(operation, *words, timeout_s=timeout_s, **options)

    async def info(self, timeout_s: float = TOPOLOGY_S) -> Sequence[Mapping[str, Any]]:
        return await (await self._opened()).info(timeout_s)

    async def close(self) -> None:
        await self.pubsub.close()
        if self._store is not None:
            await self._store.close()

    async def _subscriber(self) -> PubSub:
        return await (await self._opened())._subscriber()

    async def _opened(self) -> RedisStore:
        async with self._opening:
            if self._store is None:
                self._store = await self._open()
            return self._store
