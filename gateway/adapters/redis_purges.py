"""What was purged: a sealed state in the cache store, read twice a second by every worker.

The cache store is never believed. The state is sealed, so nobody else can write one; and the state store holds the
serial of the latest one (the high-water mark), so nobody can put an old one back, nor can a failover. A state that is
missing, forged or older than that is replaced by a fresh one, under which every answer is purged.

Purges are timed by the cache store's clock, answers by the clock of the gateway that sent their calls. So a call that
was sent at the moment of a purge may fall on either side of it, by as much as the clocks differ.
"""

from typing import Any

from gateway.adapters.redis_connect import RedisStore, Word, as_stored, load_script
from gateway.core import purge_state
from gateway.core.metrics import CACHE_BAD_ENTRIES, STORE_ERRORS
from gateway.core.purge_state import Purge, PurgeState
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.ports import Clock, Meter, StoreUnavailable

# A purge that fails is worse than a short wait for a busy store.
PATIENT_DEADLINES = 10
# Attempts to change the state while others change it at the same moment.
ATTEMPTS = 64
ADDRESS = "purges"


class RedisPurges:
    """`ports.PurgeStore`. `sealing_key` is `sealing.derive_key(secret, "purges")`."""

    def __init__(
        self,
        cache: RedisStore,
        state: RedisStore,
        sealing_key: bytes,
        clock: Clock,
        meter: Meter,
        *,
        prefix: str = "esmgw:",
    ) -> None:
        self._cache, self._state, self._sealing = cache, state, sealing_key
        self._clock, self._meter = clock, meter
        self._key, self._mark = f"{prefix}purges", f"{prefix}purges:high_water"
        self._patient_s = PATIENT_DEADLINES * cache.timeout_s
        self._script, self._raise = load_script("purge_state"), load_script("raise")
        self._last: tuple[bytes, PurgeState | None] = (b"", None)

    async def purge_state(self, at_least: int = 0) -> PurgeState:
        for _ in range(ATTEMPTS):
            now, blob = await self._read("purge_state")
            state = self._opened(blob, at_least)
            if state is not None:
                return state
            state = purge_state.fresh(now, at_least)
            if await self._swap("purge_state", blob, state):
                return state
        raise StoreUnavailable("purge_state")

    async def purge(self, what: Purge) -> PurgeState:
        at_least = await self.high_water()
        for _ in range(ATTEMPTS):
            now, blob = await self._read("purge")
            state = self._opened(blob, at_least) or purge_state.fresh(now, at_least)
            state = purge_state.after(state, what, now)
            if await self._swap("purge", blob, state):
                await self.raise_high_water(state.serial)
                return state
        raise StoreUnavailable("purge")

    async def high_water(self) -> int:
        number: bytes | None = await self._state.call("high_water", "GET", self._mark)
        with as_stored("high_water"):
            return int(number or 0)

    async def raise_high_water(self, serial: int) -> None:
        await self._state.run("high_water", self._raise, (self._mark,), (str(serial),))

    async def _read(self, operation: str) -> tuple[float, bytes]:
        row = await self._run(operation, "read")
        with as_stored(operation):
            seconds, microseconds, blob = row
            return seconds + microseconds / 1e6, blob

    async def _swap(self, operation: str, expected: bytes, state: PurgeState) -> bool:
        blob = seal(self._sealing, ADDRESS, purge_state.encode(state), self._clock.token(NONCE_BYTES))
        return bool(await self._run(operation, "swap", expected, blob) == 1)

    async def _run(self, operation: str, *words: Word) -> Any:
        return await self._cache.run(operation, self._script, (self._key,), words, self._patient_s)

    def _opened(self, blob: bytes, at_least: int) -> PurgeState | None:
        """The state, where there is one of ours that is not older than the high-water mark."""
        if blob == b"":
            return None
        if blob != self._last[0]:
            content = unseal(self._sealing, ADDRESS, blob)
            self._last = blob, None if content is None else purge_state.decode(content)
        state = self._last[1]
        if state is None or state.serial < at_least:
            self._meter.count(STORE_ERRORS, "cache", "purges_forged" if state is None else "purges_put_back")
            self._meter.count(CACHE_BAD_ENTRIES)
            return None
        return state
