"""Cache entries in the cache store, and the leases by which one process computes what others wait for.

Entries are sealed by the caller and opaque here. A purge deletes nothing: it changes a number that is part of every
cache key (`redis_purges.py`), and old entries expire by TTL or are evicted. Every operation has a short deadline and a
circuit breaker: no request waits long for the cache.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from hashlib import sha1
from typing import Any, TypeVar

from gateway.adapters.redis_breaker import StoreBreaker
from gateway.adapters.redis_connect import RedisStore, as_stored, load_script
from gateway.ports import Clock, LeaseClaim, StoreUnavailable

T = TypeVar("T")

# Larger values get one deadline for each of these.
BYTES_PER_DEADLINE = 262_144
# A longer answer is not published to those who wait; they read it from the cache.
MESSAGE_BYTES = 65_536
# A look-up has one deadline, since the upstream can answer, too. Other operations save upstream calls, so a busy store
# is worth this many deadlines; for a lost one the circuit breaker opens.
PATIENT_DEADLINES = 10
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
        self._patient_s = PATIENT_DEADLINES * store.timeout_s
        self._breaker = StoreBreaker(clock.monotonic)
        self._claim = load_script("claim")
        self._lease = load_script("lease")
        self._store_and_publish = load_script("store_and_publish")

    async def get(self, cache_key: str) -> bytes | None:
        try:
            blob: bytes | None = await self._guarded("get", self._store.call("get", "GET", self._entry_key(cache_key)))
        except StoreUnavailable as lost:
            if lost.fault != "foreign":
                raise
            return b""  # what is no text there cannot be unsealed either, and is deleted like other foreign entries
        return blob

    async def put(
        self, cache_key: str, blob: bytes, ttl_s: float, first_write_wins: bool, owner: str | None = None
    ) -> bytes | None:
        deadline = self._patient_s * max(1.0, len(blob) / BYTES_PER_DEADLINE)
        ttl_ms = max(1, round(ttl_s * 1000))
        if owner is not None:
            keys = (self._entry_key(cache_key), self._lease_key(cache_key))
            words = (owner, blob, ttl_ms, int(first_write_wins), self._channel(cache_key), MESSAGE_BYTES)
            call = self._store.run("put", self._store_and_publish, keys, words, deadline)
        else:
            # NX together with GET: Redis 7.0 (https://redis.io/docs/latest/commands/set/).
            first, options = (("NX", "GET"), {"get": True}) if first_write_wins else ((), {})
            plain = ("SET", self._entry_key(cache_key), blob, "PX", ttl_ms, *first)
            call = self._store.call("put", *plain, timeout_s=deadline, **options)
        existing = await self._guarded("put", call)
        return existing if isinstance(existing, bytes) else None

    async def delete(self, cache_key: str) -> None:
        await self._guarded(
            "delete", self._store.call("delete", "UNLINK", self._entry_key(cache_key), self._lease_key(cache_key))
        )

    async def claim(self, cache_key: str, owner: str, lease_s: float, refused: bytes | None = None) -> LeaseClaim:
        keys = (self._entry_key(cache_key), self._lease_key(cache_key))
        # Lua scripts have SHA-1 only; whoever makes a collision only causes a computation.
        refused_sha1 = "" if refused is None else sha1(refused, usedforsecurity=False).hexdigest()
        words = (owner, max(1, round(lease_s * 1000)), refused_sha1)
        row: list[Any] = await self._guarded(
            "claim", self._store.run("claim", self._claim, keys, words, self._patient_s)
        )
        with as_stored("claim"):
            # Below 0: the lease has just expired.
            expires_in_s = row[1] / 1000 if row[1] >= 0 else lease_s
            return LeaseClaim(row[0] == 1, row[2] if len(row) > 2 else None, expires_in_s)

    async def renew(self, cache_key: str, owner: str, lease_s: float) -> bool:
        words = (owner, max(1, round(lease_s * 1000)), "", "")
        call = self._store.run("renew", self._lease, (self._lease_key(cache_key),), words, self._patient_s)
        held: int = await self._guarded("renew", call)
        return held == 1

    async def release(self, cache_key: str, owner: str, message: bytes = b"") -> None:
        words = (owner, 0, self._channel(cache_key), message)
        call = self._store.run("release", self._lease, (self._lease_key(cache_key),), words, self._patient_s)
        await self._guarded("release", call)

    async def subscribe(self, cache_key: str) -> "asyncio.Future[bytes]":
        """Without the circuit breaker: the store has just answered this caller's claim."""
        return await self._store.pubsub.subscribe(self._channel(cache_key), self._patient_s)

    def unsubscribe(self, cache_key: str, message: "asyncio.Future[bytes]") -> None:
        self._store.pubsub.unsubscribe(self._channel(cache_key), message)

    async def stats(self) -> Mapping[str, int]:
        """Of the whole server: the cache store serves nothing but the gateway."""
        nodes = await self._guarded("stats", self._store.info(STATS_S))
        with as_stored("stats"):
            sums = {name: sum(int(node.get(field, 0)) for node in nodes) for name, field in FIELDS.items()}
            return {"entries": sum(int(node.get("db0", {}).get("keys", 0)) for node in nodes), **sums}

    async def _guarded(self, operation: str, call: Coroutine[Any, Any, T]) -> T:
        if not self._breaker.admits():
            call.close()
            raise StoreUnavailable(operation, self._breaker.fault)
        try:
            answer = await call
        except StoreUnavailable as lost:
            if lost.fault == "foreign":
                self._breaker.succeeded()  # it has answered: an odd value under one key says nothing about others
            else:
                self._breaker.failed(lost.fault)
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return answer

    def _entry_key(self, cache_key: str) -> str:
        return f"{self._prefix}entry:{{{cache_key}}}"

    def _lease_key(self, cache_key: str) -> str:
        return f"{self._prefix}lease:{{{cache_key}}}"

    def _channel(self, cache_key: str) -> str:
        return f"{self._prefix}flight:{cache_key}"
