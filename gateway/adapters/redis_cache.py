"""Answers kept in the cache store, and the leases that let one process compute what others wait for.

What is stored here is sealed by the caller; this module looks at no byte of it. An entry's address carries the epoch,
so a purge only moves the epoch: the old entries are out of reach at once and go by their age or by eviction. Every
operation has a short deadline and stands behind a circuit: the cache is a help, never a reason to wait.
"""

from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from gateway.adapters.redis_circuit import Circuit
from gateway.adapters.redis_connect import RedisStore, load_script
from gateway.ports import Clock, StoreUnavailable

T = TypeVar("T")

# What may be sent within one deadline; larger values get as many deadlines as they have of this.
BYTES_PER_DEADLINE = 262_144
# A look-up is given up soon, since the upstream can answer too. The rest saves upstream calls or makes a purge known,
# and a store that is only busy is worth waiting for; a dead one refuses at once and opens the circuit.
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
        self._circuit = Circuit(clock.monotonic)
        self._claim = load_script("claim")
        self._lease = load_script("lease")
        self._epoch = load_script("epoch")

    async def get(self, address: str) -> bytes | None:
        blob: bytes | None = await self._try("get", self._store.call("get", "GET", self._entry_key(address)))
        return blob

    async def put(self, address: str, blob: bytes, ttl_s: float, keep_first: bool) -> bytes | None:
        deadline = self._patient_s * max(1.0, len(blob) / BYTES_PER_DEADLINE)
        words = ("SET", self._entry_key(address), blob, "PX", max(1, round(ttl_s * 1000)))
        if not keep_first:
            await self._try("put", self._store.call("put", *words, timeout_s=deadline))
            return None
        # NX together with GET: Redis 7.0 (https://redis.io/docs/latest/commands/set/).
        call = self._store.call("put", *words, "NX", "GET", timeout_s=deadline, get=True)
        standing: bytes | None = await self._try("put", call)
        return standing

    async def delete(self, address: str) -> None:
        await self._try(
            "delete", self._store.call("delete", "UNLINK", self._entry_key(address), self._lease_key(address))
        )

    async def claim(self, address: str, owner: str, lease_s: float) -> tuple[bool, bytes | None]:
        keys = (self._entry_key(address), self._lease_key(address))
        call = self._store.run("claim", self._claim, keys, (owner, max(1, round(lease_s * 1000))), self._patient_s)
        row: list[Any] = await self._try("claim", call)
        return row[0] == 1, row[1] if len(row) > 1 else None

    async def renew(self, address: str, owner: str, lease_s: float) -> bool:
        words = (owner, max(1, round(lease_s * 1000)))
        call = self._store.run("renew", self._lease, (self._lease_key(address),), words, self._patient_s)
        held: int = await self._try("renew", call)
        return held == 1

    async def release(self, address: str, owner: str) -> None:
        call = self._store.run("release", self._lease, (self._lease_key(address),), (owner, 0), self._patient_s)
        await self._try("release", call)

    async def epoch(self) -> int:
        call = self._store.run("epoch", self._epoch, (f"{self._prefix}epoch",), ("",), self._patient_s)
        number: int = await self._try("epoch", call)
        return number

    async def purge(self) -> int:
        call = self._store.run("purge", self._epoch, (f"{self._prefix}epoch",), ("purge",), self._patient_s)
        number: int = await self._try("purge", call)
        return number

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

    def _entry_key(self, address: str) -> str:
        return f"{self._prefix}c:{{{address}}}"

    def _lease_key(self, address: str) -> str:
        return f"{self._prefix}l:{{{address}}}"
