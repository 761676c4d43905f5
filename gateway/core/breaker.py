"""When to stop asking an upstream that fails: closed, open for a while, then one trial.

Counts only failures of the upstream as a whole (no answer, 5xx), never refusals of one key or one call.
"""

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half-open"]


@dataclass(slots=True)
class Breaker:
    """`failures` in a row open it for `open_s` seconds; then one call tries, and its outcome decides."""

    failures: int
    open_s: float
    _consecutive_failures: int = 0
    _opened: float | None = None
    _probe_since: float | None = None

    def try_acquire(self, now: float) -> bool:
        """Whether a call may go now; an allowed call must report back with `succeeded` or `failed`."""
        if self._opened is None:
            return True
        if now - self._opened < self.open_s:
            return False
        # A trial that never reported (a crashed task) must not keep the breaker open for ever.
        if self._probe_since is not None and now - self._probe_since < self.open_s:
            return False
        self._probe_since = now
        return True

    def succeeded(self) -> None:
        self._consecutive_failures, self._opened, self._probe_since = 0, None, None

    def failed(self, now: float) -> None:
        self._consecutive_failures += 1
        if self._probe_since is not None or self._consecutive_failures >= self.failures:
            self._opened, self._probe_since = now, None

    def release(self) -> None:
        """An allowed call that says nothing about the upstream's health (it was refused, or never sent)."""
        self._probe_since = None

    def state(self) -> State:
        if self._opened is None:
            return "closed"
        return "half-open" if self._probe_since is not None else "open"

    def seconds_left(self, now: float) -> float:
        return 0.0 if self._opened is None else max(0.0, self._opened + self.open_s - now)
