"""Notices a worker that stands still: turns it away, and replaces it if it does not come back.

Turned away, it gets no new connections; with its next heartbeat it does again. Replaced, it is killed, which resets its
open connections, so that callers come back to another one. Workers are replaced one at a time, and only while another
one is there for callers: a single worker is never killed for standing still. Who stands still together with all others
is left alone for a while, and if it was the supervisor that stood still, everybody gets a new chance.
"""

import asyncio
import time
from collections.abc import Sequence

from gateway.adapters.heartbeat import Patience
from gateway.adapters.managed_servers import Report, wait_up_to
from gateway.adapters.worker_slot import WorkerSlot
from gateway.core.metrics import WORKERS
from gateway.ports import Meter


class StandstillWatch:
    """Looks at the heartbeats of all workers."""

    def __init__(self, slots: Sequence[WorkerSlot], patience: Patience, report: Report, meter: Meter) -> None:
        self._slots, self._patience, self._report, self._meter = slots, patience, report, meter
        self._looked = float("-inf")
        self._left_alone: set[int] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`."""
        while not stopping.is_set():
            try:
                self.look(time.monotonic())
            except Exception as error:
                # The watch must not end those that it watches.
                self._report(f"a look at the workers' heartbeats failed: {type(error).__name__}")
            await wait_up_to(self._patience.look_s, stopping)

    def look(self, now: float) -> None:
        """One look, at `now` (monotonic seconds)."""
        late = now - self._looked > self._patience.look_s + self._patience.late_s
        self._looked = now
        for slot in self._ready():
            if slot.listen_to_heartbeat(now):
                self._welcome(slot)
            elif late:
                slot.heard = now
        for slot in sorted(self._silent(now), key=lambda slot: slot.heard):
            self._judge(slot, now)
        self._show(now)

    def _show(self, now: float) -> None:
        ready, stalled = len(self._ready()), len(self._silent(now))
        for state, count in (("running", ready - stalled), ("stalled", stalled), ("down", len(self._slots) - ready)):
            self._meter.gauge(WORKERS, count, state)

    def _ready(self) -> list[WorkerSlot]:
        return [slot for slot in self._slots if slot.state in ("serving", "turned_away")]

    def _silent(self, now: float) -> list[WorkerSlot]:
        return [slot for slot in self._ready() if now - slot.heard >= self._patience.turned_away_s]

    def _welcome(self, slot: WorkerSlot) -> None:
        self._left_alone.discard(slot.number)
        if slot.state == "turned_away" and not slot.being_replaced:
            slot.take_back()
            self._report(f"worker {slot.number} goes on; it gets new connections again")

    def _judge(self, slot: WorkerSlot, now: float) -> None:
        silent_s = now - slot.heard
        if slot.state == "serving":
            if self._may_be_turned_away(slot, silent_s):
                slot.turn_away()
                self._report(f"worker {slot.number} stands still; new connections go to the others")
            elif slot.number not in self._left_alone:
                self._left_alone.add(slot.number)
                self._report(f"worker {slot.number} stands still, and no other one serves; it is left alone")
        elif silent_s >= self._patience.replaced_s and self._may_be_replaced(slot):
            self._report(f"worker {slot.number} has stood still for {silent_s:.1f} s and is replaced")
            slot.replace()

    def _may_be_turned_away(self, slot: WorkerSlot, silent_s: float) -> bool:
        """Whether another one takes its callers, and the fault is its own rather than the machine's."""
        others = self._others_that_serve(slot)
        by_itself = any(other.heard - slot.heard >= self._patience.apart_s for other in others)
        return by_itself or (bool(others) and silent_s >= self._patience.all_silent_s)

    def _may_be_replaced(self, slot: WorkerSlot) -> bool:
        return bool(self._others_that_serve(slot)) and not any(each.being_replaced for each in self._slots)

    def _others_that_serve(self, slot: WorkerSlot) -> list[WorkerSlot]:
        return [other for other in self._slots if other is not slot and other.state == "serving"]
