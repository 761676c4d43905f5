"""Answers kept in the cache store, and the leases that let one process compute what others wait for.

What is stored here is sealed by the caller; this module looks at no byte of it. A purge touches nothing here: it moves
a mark that is part of every address (`redis_purges.py`), and the old entries go by their age or by eviction. Every
operation has a short deadline and stands behind a circuit: the cache is a help, never a reason to wait.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from hashlib import sha1
from typing import Any, TypeVar

from gateway.adapters.redis_breaker import StoreBreaker
from gateway.adapters.redis_connect import RedisStore, load_script
from gateway.ports import Clock, LeaseClaim, StoreUnavailable

T = TypeVar("T")

# What may be sent within one deadline; larger values get as many deadlines as they have of this.
BYTES_PER_DEADLINE = 262_144
# A longer answer is not sent to those who wait for it; they look it up, each when he is ready to read it.
MESSAGE_BYTES = 65_536
# A look-up is given up soon, since the upstream can answer too. The rest saves upstream calls, and a store that is only
# busy is worth waiting for; a dead one refuses at once and opens the circuit.
PATIENT = 10
STATS_S = 1.0
FIELDS = {
    "bytes": "used_memory",
    "evicted": "evicted_keys",
    "expired": "expired_keys",
    "hits": "keyspace_hits",
    "misses": "keyspace_misses",
}


class RedisCache:
    """`ports.CacheStore`."""

    def __init__(self, store: RedisStore, clock: Clock, *, prefix: str = "esmgw:") -> None:
        self._store = store
        self._prefix = prefix
        self._patient_s = PATIENT * store.timeout_s
        self._circuit = StoreBreaker(clock.monotonic)
        self._claim = load_script("claim")
        self._lease = load_script("lease")
        self._land = load_script("store_and_publish")

    async def get(self, cache_key: str) -> bytes | None:
        blob: bytes | None = await self._try("get", self._store.call("get", "GET", self._entry_key(cache_key)))
        return blob

    async def put(
        self, cache_key: str, blob: bytes, ttl_s: float, first_write_wins: bool, owner: str | None = None
    ) -> bytes | None:
        deadline = self._patient_s * max(1.0, len(blob) / BYTES_PER_DEADLINE)
        ttl_ms = max(1, round(ttl_s * 1000))
        if owner is not None:
            keys = (self._entry_key(cache_key), self._lease_key(cache_key))
            words = (owner, blob, ttl_ms, int(first_write_wins), self._channel(cache_key), MESSAGE_BYTES)
            call = self._store.run("put", self._land, keys, words, deadline)
        else:
            # NX together with GET: Redis 7.0 (https://redis.io/docs/latest/commands/set/).
            first, options = (("NX", "GET"), {"get": True}) if first_write_wins else ((), {})
            plain = ("SET", self._entry_key(cache_key), blob, "PX", ttl_ms, *first)
            call = self._store.call("put", *plain, timeout_s=deadline, **options)
        standing = await self._try("put", call)
        return standing if isinstance(standing, bytes) else None

    async def delete(self, cache_key: str) -> None:
        await self._try(
            "delete", self._store.call("delete", "UNLINK", self._entry_key(cache_key), self._lease_key(cache_key))
        )

    async def claim(self, cache_key: str, owner: str, lease_s: float, refused: bytes | None = None) -> LeaseClaim:
        keys = (self._entry_key(cache_key), self._lease_key(cache_key))
        # The script compares by SHA-1, the one digest that it has; a collision only costs its maker a computation.
        unfit = "" if refused is None else sha1(refused, usedforsecurity=False).hexdigest()
        words = (owner, max(1, round(lease_s * 1000)), unfit)
        row: list[Any] = await self._try("claim", self._store.run("claim", self._claim, keys, words, self._patient_s))
        # Below 0: there is no lease any more, or one without an end, which we never make.
        expires_in_s = row[1] / 1000 if row[1] >= 0 else lease_s
        return LeaseClaim(row[0] == 1, row[2] if len(row) > 2 else None, expires_in_s)

    async def renew(self, cache_key: str, owner: str, lease_s: float) -> bool:
        words = (owner, max(1, round(lease_s * 1000)), "")
        call = self._store.run("renew", self._lease, (self._lease_key(cache_key),), words, self._patient_s)
        held: int = await self._try("renew", call)
        return held == 1

    async def release(self, cache_key: str, owner: str) -> None:
        words = (owner, 0, self._channel(cache_key))
        call = self._store.run("release", self._lease, (self._lease_key(cache_key),), words, self._patient_s)
        await self._try("release", call)

    async def subscribe(self, cache_key: str) -> "asyncio.Future[bytes]":
        """Outside the circuit: whoever listens has just been answered by the store."""
        return await self._store.news.subscribe(self._channel(cache_key), self._patient_s)

    def unsubscribe(self, cache_key: str, message: "asyncio.Future[bytes]") -> None:
        self._store.news.unsubscribe(self._channel(cache_key), message)

    async def stats(self) -> Mapping[str, int]:
        """Of the whole server: a cache store is the gateway's alone."""
        nodes = await self._try("stats", self._store.info(STATS_S))
        sums = {name: sum(int(node.get(field, 0)) for node in nodes) for name, field in FIELDS.items()}
        return {"entries": sum(node.get("db0", {}).get("keys", 0) for node in nodes), **sums}

    async def _try(self, operation: str, call: Coroutine[Any, Any, T]) -> T:
        if not self._circuit.admits():
            call.close()
            raise StoreUnavailable(operation)
        try:
            answer = await call
        except StoreUnavailable:
            self._circuit.failed()
            raise
        except BaseException:
            self._circuit.abandoned()
            raise
        self._circuit.succeeded()
        return answer

    def _entry_key(self, cache_key: str) -> str:
        return f"{self._prefix}c:{{{cache_key}}}"

    def _lease_key(self, cache_key: str) -> str:
        return f"{self._prefix}l:{{{cache_key}}}"

    def _channel(self, cache_key: str) -> str:
        return f"{self._prefix}n:{cache_key}"
