"""Looks at the stores as servers: whether one that refused changes takes them again, and whether both are still fit.

Every new connection is checked where it is made. What a running server is told later (another eviction policy, no
append-only file) is seen here, within a quarter of a minute; connections to one that is no longer fit are closed, and
the check at the next connection decides.
"""

import asyncio
from collections.abc import Callable, Mapping

from gateway.core.store_faults import StoreName
from gateway.flow.runtime import Runtime
from gateway.flow.store_status import StoreStatus
from gateway.ports import StoreProbe, StoreUnavailable

PROVE_EVERY_S = 0.5
LOOK_EVERY_S = 15.0


class StoreMonitor:
    """The looks of one worker."""

    def __init__(
        self,
        probes: Mapping[StoreName, StoreProbe],
        status: StoreStatus,
        runtime: Runtime,
        report: Callable[[str], object],
    ) -> None:
        self._probes, self._status, self._report = probes, status, report
        self._clock = runtime.clock
        self._warned: dict[StoreName, tuple[str, ...]] = {}

    async def forever(self) -> None:
        looked = self._clock.monotonic()
        while True:
            await self._clock.sleep(PROVE_EVERY_S)
            await asyncio.gather(*map(self.prove, self._probes))
            if self._clock.monotonic() - looked >= LOOK_EVERY_S:
                looked = self._clock.monotonic()
                await asyncio.gather(*map(self.look, self._probes))

    async def prove(self, store: StoreName) -> None:
        """Try a change, where one was refused."""
        if self._status.needs_proof(store):
            try:
                await self._probes[store].try_change()
            except StoreUnavailable as lost:
                self._status.failed(store, lost.fault, lost.detail)
            else:
                self._status.proven(store, self._probes[store].warnings)

    async def look(self, store: StoreName) -> None:
        """Whether it is still fit; a new warning is said once."""
        probe = self._probes[store]
        try:
            warnings = await probe.check()
        except StoreUnavailable as lost:
            # That it does not answer is for the polls to say: this question may have been unlucky.
            self._status.refused(store, lost.fault, lost.detail)
            return
        # The first look says nothing: the start has said it.
        before = self._warned.get(store, tuple(warnings))
        self._warned[store] = tuple(warnings)
        for warning in warnings:
            if warning not in before:
                self._report(warning)
