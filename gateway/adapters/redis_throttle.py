"""Throttling of warnings to callers: one key each in the cache store, expires by TTL.

A key that is evicted or lost makes a warning repeat, which does no harm.
"""

from gateway.adapters.redis_connect import RedisStore


class RedisThrottle:
    """`ports.Throttle`."""

    def __init__(self, store: RedisStore, *, prefix: str = "esmgw:") -> None:
        self._store, self._prefix = store, prefix

    async def first(self, topic: str, key: str, ttl_s: float) -> bool:
        name = f"{self._prefix}throttle:{topic}:{key}"
        return await self._store.call("throttle", "SET", name, 1, "NX", "PX", max(1, round(ttl_s * 1000))) is not None
