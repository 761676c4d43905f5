"""Cache entries in the cache store, and the leases by which one process computes what others wait for.

Entries are sealed by the caller and opaque here. A purge deletes nothing: it changes a number that decides which
entries are valid (`redis_purges.py`), and old entries expire by TTL or are evicted. Every operation has a short
deadline and a circuit breaker: no request waits long for the cache.

Whatever stores or deletes an entry writes its cache key into a stream of changes, in the same step; every worker reads
these twice a second and forgets what it holds of such an entry. Streams are short: one that has moved on too far says
so. An entry, its lease and its stream share a hash tag, of which there are sixteen, so that a cluster can spread them.

A lease is sealed with the time at which its owner took or renewed it. One that is not, or is too old, is void: whoever
can write to the store can keep nobody waiting.
"""

import asyncio
import struct
from collections.abc import Collection, Coroutine, Mapping, Sequence
from hashlib import sha1
from typing import Any, TypeVar
from zlib import crc32

from gateway.adapters.redis_breaker import StoreBreaker
from gateway.adapters.redis_connect import RedisStore, as_stored, load_script
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.ports import Clock, LeaseClaim, StoreUnavailable

T = TypeVar("T")

# Larger values get one deadline for each of these.
BYTES_PER_DEADLINE = 262_144
# A longer answer is not published to those who wait; they read it from the cache.
MESSAGE_BYTES = 65_536
# A look-up has one deadline, since the upstream can answer, too. Other operations save upstream calls, so a busy store
# is worth this many deadlines; for a lost one the circuit breaker opens.
PATIENT_DEADLINES = 10
# Hash tags of a cluster, and the changes that each stream holds: together those of some seconds of a busy gateway.
BUCKETS, CHANGES = 16, 512
# By as much the clocks of two gateways may differ before they take each other's leases for void.
CLOCK_SKEW_S = 30.0
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

    def __init__(self, store: RedisStore, clock: Clock, sealing_key: bytes, *, prefix: str = "esmgw:") -> None:
        self._store, self._clock, self._sealing, self._prefix = store, clock, sealing_key, prefix
        self._patient_s = PATIENT_DEADLINES * store.timeout_s
        self._breaker = StoreBreaker(clock.monotonic)
        self._claim, self._lease = load_script("claim"), load_script("lease")
        self._store_answer, self._delete = load_script("store"), load_script("delete")
        self._changes = load_script("changes")

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
        flight = (owner or "", self._channel(cache_key), MESSAGE_BYTES)
        words = (cache_key, blob, ttl_ms, int(first_write_wins), CHANGES, *flight)
        call = self._store.run("put", self._store_answer, self.keys(cache_key), words, deadline)
        existing = await self._guarded("put", call)
        return existing if isinstance(existing, bytes) else None

    async def delete(self, cache_key: str) -> None:
        keys, words = self.keys(cache_key), (cache_key, CHANGES)
        await self._guarded("delete", self._store.run("delete", self._delete, keys, words))

    async def changes(self, since: Sequence[str] | None) -> tuple[Sequence[str], Collection[str] | None]:
        """Without the circuit breaker: a worker must hear of changes as soon as the store answers again."""
        streams = [self._stream(bucket) for bucket in range(BUCKETS)]
        before = ["-"] * BUCKETS if since is None or len(since) != BUCKETS else list(since)
        rows = await self._store.run_on_each("changes", self._changes, streams, before, self._patient_s)
        with as_stored("changes"):
            now = [latest.decode() for latest, _, _ in rows]
            missed = since is None or any(missed for _, missed, _ in rows)
            return now, None if missed else {key.decode(errors="replace") for _, _, keys in rows for key in keys}

    async def claim(self, cache_key: str, owner: str, lease_s: float, refused: bytes | None = None) -> LeaseClaim:
        # Lua scripts have SHA-1 only; whoever makes a collision only causes a computation.
        refused_sha1 = "" if refused is None else sha1(refused, usedforsecurity=False).hexdigest()
        claim, lease = await self._claim_once(cache_key, owner, lease_s, refused_sha1, b"")
        if lease and not self._is_alive(cache_key, lease, lease_s):
            claim, _ = await self._claim_once(cache_key, owner, lease_s, refused_sha1, lease)
        return claim

    async def _claim_once(
        self, cache_key: str, owner: str, lease_s: float, refused_sha1: str, void: bytes
    ) -> tuple[LeaseClaim, bytes]:
        """What came of it, and the lease of another owner."""
        keys, words = self.keys(cache_key)[:2], (owner, *self._proof(cache_key, owner, lease_s), refused_sha1, void)
        row: list[Any] = await self._guarded(
            "claim", self._store.run("claim", self._claim, keys, words, self._patient_s)
        )
        with as_stored("claim"):
            # Below 0: the lease has just expired, or somebody took its end away.
            expires_in_s = min(row[1] / 1000, lease_s) if row[1] >= 0 else lease_s
            lease = row[3] if len(row) > 3 else b""
            return LeaseClaim(row[0] == 1, row[2] if len(row) == 3 else None, expires_in_s), lease

    async def renew(self, cache_key: str, owner: str, lease_s: float) -> bool:
        words = (owner, *self._proof(cache_key, owner, lease_s), "", "")
        call = self._store.run("renew", self._lease, self.keys(cache_key)[1:2], words, self._patient_s)
        held: int = await self._guarded("renew", call)
        return held == 1

    async def release(self, cache_key: str, owner: str, message: bytes = b"") -> None:
        words = (owner, "", 0, self._channel(cache_key), message)
        call = self._store.run("release", self._lease, self.keys(cache_key)[1:2], words, self._patient_s)
        await self._guarded("release", call)

    def _proof(self, cache_key: str, owner: str, lease_s: float) -> tuple[bytes, int]:
        """The words that take or renew a lease: sealed for this owner and now, and for how many ms."""
        content = struct.pack(">d", self._clock.now())
        sealed = seal(self._sealing, f"lease {cache_key} {owner}", content, self._clock.token(NONCE_BYTES))
        return sealed, max(1, round(lease_s * 1000))

    def _is_alive(self, cache_key: str, lease: bytes, lease_s: float) -> bool:
        """Whether a gateway has taken or renewed this lease within its time."""
        owner, _, proof = lease.partition(b" ")
        content = unseal(self._sealing, f"lease {cache_key} {owner.decode(errors='replace')}", proof)
        if content is None or len(content) != 8:
            return False
        age: float = self._clock.now() - struct.unpack(">d", content)[0]
        return -CLOCK_SKEW_S <= age <= lease_s + CLOCK_SKEW_S

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
        return f"{self._prefix}entry:{{{_bucket(cache_key):x}}}:{cache_key}"

    def keys(self, cache_key: str) -> tuple[str, str, str]:
        """Of the entry, of its lease, and of the stream in which its changes are."""
        bucket = _bucket(cache_key)
        lease = f"{self._prefix}lease:{{{bucket:x}}}:{cache_key}"
        return self._entry_key(cache_key), lease, self._stream(bucket)

    def _stream(self, bucket: int) -> str:
        return f"{self._prefix}changes:{{{bucket:x}}}"

    def _channel(self, cache_key: str) -> str:
        return f"{self._prefix}flight:{cache_key}"


def _bucket(cache_key: str) -> int:
    return crc32(cache_key.encode()) % BUCKETS
