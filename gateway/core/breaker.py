"""The circuit breaker of an upstream: failures are weighed by whose calls they are before they close it for others.

A call that fails says something about itself and its caller first. So each caller has a circuit of their own:
`failures` in a row open it, for them alone. The circuit of all opens when the failures since anybody's last success
come from two callers, or from one while nobody else has succeeded lately. While it is open, callers who have not failed
may still try: at once where they succeeded lately, else one at a time.

An open circuit lets one call through after a pause, as a probe; pauses grow from `FIRST_OPEN_S` to `open_s` while
probes fail. It counts failures of the upstream (no answer, 5xx), not refusals of one key or one call.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

State = Literal["closed", "open", "half-open"]

FIRST_OPEN_S = 1.0
LATELY_S = 60.0
"""For how long a success says that the upstream works."""
MAX_CALLERS = 4096
"""Callers whose last calls failed, of whom something is remembered; beyond that the longest unheard are forgotten."""
MAX_CALLS = 16


@dataclass(slots=True)
class Circuit:
    """Failures in a row of one caller, or of all, and what follows from them."""

    failures: int = 0
    opened_at: float | None = None
    open_since: float = 0.0
    pause_s: float = 0.0
    probe_since: float | None = None
    calls: "OrderedDict[bytes, None]" = field(default_factory=OrderedDict)

    def open(self, now: float, open_s: float) -> None:
        """Open it, or open it again for longer."""
        if self.opened_at is None:
            self.open_since = now
        self.pause_s = min(open_s, 2 * self.pause_s or FIRST_OPEN_S)
        self.opened_at, self.probe_since = now, None

    def seconds_left(self, now: float) -> float:
        """Seconds until a probe may go; 0 while closed."""
        if self.opened_at is None:
            return 0.0
        left = self.opened_at + self.pause_s - now
        if self.probe_since is not None:
            # A probe that never reports (or takes long) must not keep it open for ever.
            left = max(left, self.probe_since + self.pause_s - now)
        return max(0.0, left)

    def remember(self, call: bytes) -> None:
        self.calls[call] = None
        if len(self.calls) > MAX_CALLS:
            self.calls.popitem(last=False)


class Breaker:
    """The circuits of all callers. A call for which `try_acquire` says yes must report how it ended."""

    def __init__(self, failures: int, open_s: float) -> None:
        self._failures, self._open_s = failures, open_s
        self._all = Circuit()
        self._own: OrderedDict[str, Circuit] = OrderedDict()
        self._failing: set[str] = set()
        """Whose calls failed since anybody's last success."""
        self._succeeded: OrderedDict[str, float] = OrderedDict()
        """Callers by their last success, those within `LATELY_S`."""

    def seconds_left(self, now: float, caller: str) -> float:
        """Seconds until a call of this caller may go; 0: now."""
        own = self._own.get(caller)
        return max(0.0 if own is None else own.seconds_left(now), self._left_of_all(now, caller))

    def open_since(self, caller: str) -> float | None:
        """Since when a circuit is open for this caller."""
        own = self._own.get(caller)
        since = [circuit.open_since for circuit in (own, self._all) if circuit and circuit.opened_at is not None]
        return min(since, default=None)

    def try_acquire(self, now: float, caller: str) -> bool:
        """Whether a call may go now. If so, it must report `succeeded`, `failed` or `release`."""
        if self.seconds_left(now, caller) > 0:
            return False
        own = self._own.get(caller)
        for circuit in (own, self._all):
            if circuit is not None and circuit.opened_at is not None:
                circuit.probe_since = now
        return True

    def is_suspect(self, caller: str, call: bytes) -> bool:
        """Whether this call failed while the circuit is open: a better probe is another one."""
        own = self._own.get(caller)
        return own is not None and own.opened_at is not None and call in own.calls

    def succeeded(self, now: float, caller: str) -> None:
        self._all = Circuit()
        self._own.pop(caller, None)
        self._failing.clear()
        self._succeeded[caller] = now
        self._succeeded.move_to_end(caller)
        while len(self._succeeded) > MAX_CALLERS or now - next(iter(self._succeeded.values())) > LATELY_S:
            self._succeeded.popitem(last=False)

    def failed(self, now: float, caller: str, call: bytes) -> None:
        own = self._own.setdefault(caller, Circuit())
        self._own.move_to_end(caller)
        if len(self._own) > MAX_CALLERS:
            self._own.popitem(last=False)
        own.failures += 1
        own.remember(call)
        if own.probe_since is not None or (own.opened_at is None and own.failures >= self._failures):
            own.open(now, self._open_s)
        self._failing.add(caller)
        self._all.failures += 1
        if self._all.probe_since is not None or (self._all.opened_at is None and self._concerns_all(now, caller)):
            self._all.open(now, self._open_s)

    def release(self, caller: str) -> None:
        """The call showed nothing about the upstream's health (it was refused, or never sent)."""
        own = self._own.get(caller)
        for circuit in (own, self._all):
            if circuit is not None:
                circuit.probe_since = None

    def state(self) -> State:
        """The circuit of all."""
        if self._all.opened_at is None:
            return "closed"
        return "half-open" if self._all.probe_since is not None else "open"

    def callers_open(self) -> int:
        """How many callers' own circuits are open."""
        return sum(circuit.opened_at is not None for circuit in self._own.values())

    def _left_of_all(self, now: float, caller: str) -> float:
        if self._all.opened_at is None:
            return 0.0
        if caller not in self._failing:
            if now - self._succeeded.get(caller, float("-inf")) <= LATELY_S:
                return 0.0
            if self._all.probe_since is None:
                return 0.0
        return self._all.seconds_left(now)

    def _concerns_all(self, now: float, caller: str) -> bool:
        if self._all.failures < self._failures:
            return False
        others = any(now - at <= LATELY_S for who, at in self._succeeded.items() if who != caller)
        return len(self._failing) >= 2 or not others
