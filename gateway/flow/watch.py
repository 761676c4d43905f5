"""Twice a second, a look at both stores: keys that changed, answers that were purged, namespaces that were frozen.

What a process remembers is right only while it hears of changes. When the cache store has not been heard of for two
seconds, the cache has no part in any call.
"""

from collections.abc import Mapping

from gateway.core.marks import Marks
from gateway.core.metrics import STORE_ERRORS
from gateway.core.nouns import Namespace
from gateway.flow.keyring import Keyring
from gateway.flow.memory import Memory
from gateway.ports import Archive, Clock, Directory, Meter, Purges, StoreUnavailable

EVERY_S = 0.5
# Names that do not exist cost the store no more than this, however many ask for them.
ONCE_MORE_S = 0.1
GOOD_FOR_S = 2.0


class Watch:
    """Keeps the keyring and the memory of answers true to the stores."""

    def __init__(
        self,
        directory: Directory,
        purges: Purges,
        archive: Archive,
        keyring: Keyring,
        memory: Memory,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._directory, self._purges, self._archive = directory, purges, archive
        self._keyring, self._memory = keyring, memory
        self._clock, self._meter = clock, meter
        self._keys_epoch: int | None = None
        self._marks: Marks | None = None
        self._namespaces: Mapping[str, Namespace] = {}
        self._confirmed = float("-inf")
        self._looked_once_more = float("-inf")

    def marks(self) -> Marks | None:
        """The marks that cache keys are made with, or None while they are not known to be current."""
        fresh = self._clock.monotonic() - self._confirmed <= GOOD_FOR_S
        return self._marks if fresh else None

    def namespace(self, name: str) -> Namespace | None:
        """A namespace as it was at the last look; the store itself says so again before anything is added to it."""
        return self._namespaces.get(name)

    async def look_once_more(self) -> None:
        """For somebody who names a namespace that is not known here: it may have been made a moment ago."""
        now = self._clock.monotonic()
        if now - self._looked_once_more >= ONCE_MORE_S:
            self._looked_once_more = now
            await self._look_at_state()

    async def look(self) -> None:
        """One look at both stores; a lost one changes nothing but is counted."""
        await self._look_at_state()
        await self._look_at_cache()

    async def _look_at_state(self) -> None:
        try:
            epoch = await self._directory.epoch()
            if epoch != self._keys_epoch:
                self._keys_epoch = epoch
                self._keyring.forget()
            namespaces = await self._archive.namespaces()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "epoch")
            return
        if namespaces != self._namespaces:
            self._namespaces = namespaces
            self._memory.forget()  # one that was dropped and made anew holds nothing of what it held

    async def _look_at_cache(self) -> None:
        asked = self._clock.monotonic()
        try:
            marks = await self._purges.marks()
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "marks")
            self._confirmed = float("-inf")
            return
        if marks != self._marks:
            self._marks = marks
            self._memory.forget()
        self._confirmed = asked

    async def forever(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(EVERY_S)
