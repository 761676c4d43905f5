"""Twice a second, a look at both stores: keys that changed, answers that were purged, namespaces that were frozen.

What a process remembers is right only while it hears of changes. When the cache store has not been heard of for two
seconds, the cache has no part in any call.
"""

from collections.abc import Mapping

from gateway.core.metrics import STORE_ERRORS
from gateway.core.purge_state import PurgeState
from gateway.core.types import Namespace
from gateway.flow.authenticate import Authenticator
from gateway.flow.local_cache import LocalCache
from gateway.ports import Clock, Directory, Meter, NamespaceStore, PurgeStore, StoreUnavailable

EVERY_S = 0.5
# Names that do not exist cost the store no more than this, however many ask for them.
ONCE_MORE_S = 0.1
GOOD_FOR_S = 2.0


class InvalidationPoller:
    """Keeps the keyring and the memory of answers true to the stores."""

    def __init__(
        self,
        directory: Directory,
        purge_store: PurgeStore,
        namespace_store: NamespaceStore,
        authenticator: Authenticator,
        memory: LocalCache,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._directory, self._purge_store, self._namespace_store = directory, purge_store, namespace_store
        self._authenticator, self._memory = authenticator, memory
        self._clock, self._meter = clock, meter
        self._keys_epoch: int | None = None
        self._purge_state: PurgeState | None = None
        self._namespaces: Mapping[str, Namespace] = {}
        self._confirmed = float("-inf")
        self._looked_once_more = float("-inf")

    def purge_state(self) -> PurgeState | None:
        """The marks that cache keys are made with, or None while they are not known to be current."""
        fresh = self._clock.monotonic() - self._confirmed <= GOOD_FOR_S
        return self._purge_state if fresh else None

    def namespace(self, name: str) -> Namespace | None:
        """A namespace as it was at the last look; the store itself says so again before anything is added to it."""
        return self._namespaces.get(name)

    async def poll_state_now(self) -> None:
        """For somebody who names a namespace that is not known here: it may have been made a moment ago."""
        now = self._clock.monotonic()
        if now - self._looked_once_more >= ONCE_MORE_S:
            self._looked_once_more = now
            await self._look_at_state()

    async def poll(self) -> None:
        """One look at both stores; a lost one changes nothing but is counted."""
        await self._look_at_state()
        await self._look_at_cache()

    async def _look_at_state(self) -> None:
        try:
            epoch = await self._directory.epoch()
            if epoch != self._keys_epoch:
                self._keys_epoch = epoch
                self._authenticator.forget()
            namespaces = await self._namespace_store.namespaces()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "epoch")
            return
        if namespaces != self._namespaces:
            self._namespaces = namespaces
            self._memory.forget()  # one that was dropped and made anew holds nothing of what it held

    async def _look_at_cache(self) -> None:
        asked = self._clock.monotonic()
        try:
            purge_state = await self._purge_store.purge_state()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "purge_state")
            self._confirmed = float("-inf")
            return
        if purge_state != self._purge_state:
            self._purge_state = purge_state
            self._memory.forget()
        self._confirmed = asked

    async def forever(self) -> None:
        while True:
            await self.poll()
            await self._clock.sleep(EVERY_S)
