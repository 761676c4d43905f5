"""Who has been told what lately: one key each in the cache store, that goes by itself.

A store that evicts or is emptied makes somebody be told twice, which harms nobody.
"""

from gateway.adapters.redis_connect import RedisStore


class RedisThrottle:
    """`ports.Throttle`."""

    def __init__(self, store: RedisStore, *, prefix: str = "esmgw:") -> None:
        self._store, self._prefix = store, prefix

    async def first(self, topic: str, key: str, ttl_s: float) -> bool:
        name = f"{self._prefix}told:{topic}:{key}"
        return await self._store.call("notices", "SET", name, 1, "NX", "PX", max(1, round(ttl_s * 1000))) is not None
