"""What one worker knows of its two stores: each is usable, or lost since when and why.

The polls say so, twice a second (`invalidation_poller.py`), and so does every operation that is refused a change: a
store that is full, read-only or out of rights goes on answering questions, so it counts as usable again only when a
change has gone through (`store_monitor.py`). Losing a store and having it back are one log line each, with the reason
and how long it took. Requests and `/readyz` read what is known here and ask no store.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.core.metrics import STORE_LOST, STORE_UNUSABLE
from gateway.core.store_faults import FAULT_WORDS, REFUSES_CHANGES, STORE_FAULTS, STORE_NAMES, StoreFault, StoreName
from gateway.flow.runtime import Runtime

CHANGED_REASON_S = 10.0
"""A reason that takes the place of another is said when it has lasted: a restart passes through several."""


@dataclass(slots=True)
class Loss:
    """Since when a store is lost (monotonic seconds), and why now."""

    since: float
    fault: StoreFault
    detail: str
    fault_since: float
    said: StoreFault
    needs_proof: bool


class StoreStatus:
    """The stores as one worker sees them; `report` takes lines for the operator."""

    def __init__(self, runtime: Runtime, report: Callable[[str], object]) -> None:
        self._clock, self._meter, self._report = runtime.clock, runtime.meter, report
        self._losses: dict[StoreName, Loss] = {}
        for store in STORE_NAMES:
            self._meter.gauge(STORE_UNUSABLE, 0.0, store)
            for fault in STORE_FAULTS:
                self._meter.count(STORE_LOST, store, fault, by=0.0)

    def is_lost(self, store: StoreName) -> bool:
        """Whether it cannot be used, as far as this worker knows."""
        return store in self._losses

    def state_lost(self) -> bool:
        """Whether the state store cannot be used."""
        return "state" in self._losses

    def fault(self, store: StoreName) -> StoreFault | None:
        """Why it cannot be used."""
        loss = self._losses.get(store)
        return None if loss is None else loss.fault

    def needs_proof(self, store: StoreName) -> bool:
        """Whether only a change that goes through shows that it can be used again."""
        loss = self._losses.get(store)
        return loss is not None and loss.needs_proof

    def lost(self) -> tuple[StoreName, ...]:
        """The stores that cannot be used."""
        return tuple(store for store in STORE_NAMES if store in self._losses)

    def failed(self, store: StoreName, fault: StoreFault, detail: str = "") -> None:
        """A poll of it has failed."""
        now, loss = self._clock.monotonic(), self._losses.get(store)
        if loss is None:
            needs_proof = fault in REFUSES_CHANGES
            self._losses[store] = Loss(now, fault, detail, now, fault, needs_proof)
            self._meter.gauge(STORE_UNUSABLE, 1.0, store)
            self._meter.count(STORE_LOST, store, fault)
            self._report(f"the {store} store is lost ({fault}): {_words(fault, detail)}")
            return
        loss.needs_proof = loss.needs_proof or fault in REFUSES_CHANGES
        if fault != loss.fault:
            loss.fault, loss.detail, loss.fault_since = fault, detail, now
            self._meter.count(STORE_LOST, store, fault)
        elif fault != loss.said and now - loss.fault_since >= CHANGED_REASON_S:
            loss.said = fault
            self._report(f"the {store} store is still lost, now ({fault}): {_words(fault, detail)}")

    def refused(self, store: StoreName, fault: StoreFault, detail: str = "") -> None:
        """Some operation on it has failed. Only a refused change says that it fails for others, too."""
        if fault in REFUSES_CHANGES:
            self.failed(store, fault, detail)

    def answered(self, store: StoreName, warnings: Sequence[str] = ()) -> None:
        """A poll of it was answered."""
        if self._losses and not self.needs_proof(store):
            self._found(store, warnings)

    def proven(self, store: StoreName, warnings: Sequence[str] = ()) -> None:
        """A change went through, with every right that is needed."""
        self._found(store, warnings)

    def _found(self, store: StoreName, warnings: Sequence[str]) -> None:
        loss = self._losses.pop(store, None)
        if loss is None:
            return
        seconds = self._clock.monotonic() - loss.since
        self._meter.gauge(STORE_UNUSABLE, 0.0, store)
        self._report(f"the {store} store is back after {seconds:.1f} s (it was lost: {loss.fault})")
        for warning in warnings:
            self._report(warning)


def _words(fault: StoreFault, detail: str) -> str:
    return detail or FAULT_WORDS[fault]
