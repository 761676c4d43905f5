"""Polls both stores twice a second: keys that changed, answers that were purged or replaced, namespaces that changed.

What a process holds in memory is valid only while it hears of changes. When the cache store has not answered for two
seconds, every call bypasses the cache. What the cache store says of purges is checked against the high-water mark in
the state store; while that store is lost, the last one known counts for as long as known keys do: a minute.

Each store is polled on its own: what one does not answer is no reason not to hear the other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace

from gateway.core.metrics import STORE_ERRORS
from gateway.core.purge_state import PurgeState
from gateway.core.types import Namespace
from gateway.flow.authenticate import KNOWN_S, Authenticator
from gateway.flow.local_cache import LocalCache
from gateway.flow.runtime import Runtime
from gateway.flow.store_status import StoreStatus
from gateway.ports import CacheStore, Directory, NamespaceStore, PurgeStore, StoreUnavailable

INTERVAL_S = 0.5
# Requests that name unknown namespaces cost the store no more than one extra poll in this time.
EXTRA_POLL_S = 0.1
VALID_FOR_S = 2.0


class InvalidationPoller:
    """Keeps cached keys and the local cache consistent with the stores."""

    def __init__(
        self,
        directory: Directory,
        cache: CacheStore,
        purge_store: PurgeStore,
        namespace_store: NamespaceStore,
        authenticator: Authenticator,
        local_cache: LocalCache,
        runtime: Runtime,
        status: StoreStatus | None = None,
    ) -> None:
        self._status = status or StoreStatus(runtime, lambda _: None)
        self._directory, self._namespace_store = directory, namespace_store
        self._cache, self._purge_store = cache, purge_store
        self._authenticator, self._local_cache = authenticator, local_cache
        self._clock, self._meter = runtime.clock, runtime.meter
        self._keys_epoch: int | None = None
        self._purge_state: PurgeState | None = None
        self._changes: Sequence[str] | None = None
        self._namespaces: tuple[int, Mapping[str, Namespace]] = (0, {})
        self._high_water = 0
        self._confirmed = self._compared = float("-inf")
        self._extra_poll = self._asked_state = self._asked_cache = float("-inf")

    def purge_state(self) -> PurgeState | None:
        """The purge state that cache keys are made with, or None while it is not known to be current."""
        now = self._clock.monotonic()
        return self._purge_state if now - self._confirmed <= VALID_FOR_S and now - self._compared <= KNOWN_S else None

    def namespace(self, name: str) -> Namespace | None:
        """A namespace as of the last poll; the store itself decides again before anything is added to it."""
        return self._namespaces[1].get(name)

    def polled_s_ago(self) -> float:
        """Seconds since this worker last asked, whatever the stores said; without an end where it never did."""
        return self._clock.monotonic() - min(self._asked_state, self._asked_cache)

    async def poll_state_now(self) -> None:
        """For a caller who names a namespace that is not known here: it may have been created a moment ago."""
        now = self._clock.monotonic()
        if now - self._extra_poll >= EXTRA_POLL_S:
            self._extra_poll = now
            await self._poll_namespaces()

    async def poll(self) -> None:
        """One poll of both stores; a lost one changes nothing but is counted."""
        await asyncio.gather(self._poll_state(), self._poll_cache())

    async def _poll_state(self) -> None:
        self._asked_state = self._clock.monotonic()
        await asyncio.gather(self._poll_keys(), self._poll_namespaces(), self._poll_high_water())

    async def _poll_keys(self) -> None:
        try:
            epoch = await self._directory.epoch()
        except StoreUnavailable as lost:
            self._meter.count(STORE_ERRORS, "state", "epoch")
            self._status.failed("state", lost.fault, lost.detail)
            return
        self._status.answered("state")
        if epoch != self._keys_epoch:
            self._keys_epoch = epoch
            self._authenticator.forget()

    async def _poll_namespaces(self) -> None:
        try:
            changes = await self._namespace_store.changes()
            namespaces = changes, await self._namespace_store.namespaces()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "namespaces")
            return
        if namespaces != self._namespaces:
            self._namespaces = namespaces
            self._local_cache.clear()  # a namespace that was dropped and created again has none of its old entries

    async def _poll_high_water(self) -> None:
        asked = self._clock.monotonic()
        try:
            self._high_water = max(self._high_water, await self._purge_store.high_water())
            if self._serial() > self._high_water:
                await self._purge_store.raise_high_water(self._serial())
        except StoreUnavailable as lost:
            self._meter.count(STORE_ERRORS, "state", str(lost))
            return
        if self._purge_state is not None and self._serial() < self._high_water:
            await self._poll_cache()
        self._compared = asked

    async def _poll_cache(self) -> None:
        asked = self._asked_cache = self._clock.monotonic()
        try:
            purge_state, (place, changed) = await asyncio.gather(
                self._purge_store.purge_state(max(self._high_water, self._serial())),
                self._cache.changes(self._changes),
            )
        except StoreUnavailable as lost:
            self._meter.count(STORE_ERRORS, "cache", str(lost))
            self._status.failed("cache", lost.fault, lost.detail)
            self._confirmed = float("-inf")
            return
        self._status.answered("cache")
        self._changes = place
        self._forget_changed(changed)
        if purge_state.serial < self._high_water:  # which has risen meanwhile
            await self._poll_cache()
            return
        if purge_state.serial >= self._serial():
            self._follow(purge_state)
        self._confirmed = asked

    def _serial(self) -> int:
        return 0 if self._purge_state is None else self._purge_state.serial

    def _forget_changed(self, changed: Collection[str] | None) -> None:
        if changed is None:
            self._local_cache.clear()
            return
        for cache_key in changed:
            self._local_cache.forget(cache_key)

    def _follow(self, purge_state: PurgeState) -> None:
        before, self._purge_state = self._purge_state, purge_state
        if purge_state == before:
            return
        if before is None or replace(before, serial=purge_state.serial, keys=purge_state.keys) != purge_state:
            self._local_cache.clear()
            return
        self._local_cache.forget_plans()
        for cache_key, moment in purge_state.keys.items():
            if before.keys.get(cache_key) != moment:
                self._local_cache.forget(cache_key)

    async def forever(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._poll_state))
            group.create_task(self._repeat(self._poll_cache))

    async def _repeat(self, poll: Callable[[], Awaitable[None]]) -> None:
        while True:
            await poll()
            await self._clock.sleep(INTERVAL_S)
