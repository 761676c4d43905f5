"""Polls both stores twice a second: keys that changed, answers that were purged, namespaces that were frozen.

What a process holds in memory is valid only while it hears of changes. When the cache store has not answered for two
seconds, every call bypasses the cache.
"""

import asyncio
from collections.abc import Mapping

from gateway.core.metrics import STORE_ERRORS
from gateway.core.purge_state import PurgeState
from gateway.core.types import Namespace
from gateway.flow.authenticate import Authenticator
from gateway.flow.local_cache import LocalCache
from gateway.flow.runtime import Runtime
from gateway.flow.store_status import StoreStatus
from gateway.ports import Directory, NamespaceStore, PurgeStore, StoreUnavailable

INTERVAL_S = 0.5
# Requests that name unknown namespaces cost the store no more than one extra poll in this time.
EXTRA_POLL_S = 0.1
VALID_FOR_S = 2.0


class InvalidationPoller:
    """Keeps cached keys and the local cache consistent with the stores."""

    def __init__(
        self,
        directory: Directory,
        purge_store: PurgeStore,
        namespace_store: NamespaceStore,
        authenticator: Authenticator,
        local_cache: LocalCache,
        runtime: Runtime,
        status: StoreStatus | None = None,
    ) -> None:
        self._status = status or StoreStatus(runtime, lambda _: None)
        self._directory, self._purge_store, self._namespace_store = directory, purge_store, namespace_store
        self._authenticator, self._local_cache = authenticator, local_cache
        self._clock, self._meter = runtime.clock, runtime.meter
        self._keys_epoch: int | None = None
        self._purge_state: PurgeState | None = None
        self._namespaces: Mapping[str, Namespace] = {}
        self._confirmed = float("-inf")
        self._extra_poll = self._asked = float("-inf")

    def purge_state(self) -> PurgeState | None:
        """The purge state that cache keys are made with, or None while it is not known to be current."""
        fresh = self._clock.monotonic() - self._confirmed <= VALID_FOR_S
        return self._purge_state if fresh else None

    def namespace(self, name: str) -> Namespace | None:
        """A namespace as of the last poll; the store itself decides again before anything is added to it."""
        return self._namespaces.get(name)

    def polled_s_ago(self) -> float:
        """Seconds since this worker last asked, whatever the stores said; without an end where it never did."""
        return self._clock.monotonic() - self._asked

    async def poll_state_now(self) -> None:
        """For a caller who names a namespace that is not known here: it may have been created a moment ago."""
        now = self._clock.monotonic()
        if now - self._extra_poll >= EXTRA_POLL_S:
            self._extra_poll = now
            await self._poll_namespaces()

    async def poll(self) -> None:
        """One poll of both stores; a lost one changes nothing but is counted.

        The questions are asked side by side: what one store does not answer is no reason not to hear the other.
        """
        self._asked = self._clock.monotonic()
        await asyncio.gather(self._poll_keys(), self._poll_namespaces(), self._poll_cache())

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
            namespaces = await self._namespace_store.namespaces()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "namespaces")
            return
        if namespaces != self._namespaces:
            self._namespaces = namespaces
            self._local_cache.clear()  # a namespace that was dropped and created again has none of its old entries

    async def _poll_cache(self) -> None:
        asked = self._clock.monotonic()
        try:
            purge_state = await self._purge_store.purge_state()
        except StoreUnavailable as lost:
            self._meter.count(STORE_ERRORS, "cache", "purge_state")
            self._status.failed("cache", lost.fault, lost.detail)
            self._confirmed = float("-inf")
            return
        self._status.answered("cache")
        if purge_state != self._purge_state:
            self._purge_state = purge_state
            self._local_cache.clear()
        self._confirmed = asked

    async def forever(self) -> None:
        while True:
            await self.poll()
            await self._clock.sleep(INTERVAL_S)
