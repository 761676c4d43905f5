"""The circuit breaker of an upstream: closed, open, then half-open for one probe.

It counts failures of the upstream as a whole (no answer, 5xx), not refusals of one key or one call.
"""

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half-open"]


@dataclass(slots=True)
class Breaker:
    """`failures` in a row open it for `open_s` seconds; then one call goes as a probe, and its outcome decides."""

    failures: int
    open_s: float
    _consecutive_failures: int = 0
    _opened_at: float | None = None
    _probe_since: float | None = None

    def try_acquire(self, now: float) -> bool:
        """Whether a call may go now. If so, it must report `succeeded`, `failed` or `release`."""
        if self._opened_at is None:
            return True
        if now - self._opened_at < self.open_s:
            return False
        # A probe that never reported (a crashed task) must not keep the breaker open for ever.
        if self._probe_since is not None and now - self._probe_since < self.open_s:
            return False
        self._probe_since = now
        return True

    def succeeded(self) -> None:
        self._consecutive_failures, self._opened_at, self._probe_since = 0, None, None

    def failed(self, now: float) -> None:
        self._consecutive_failures += 1
        if self._probe_since is not None or self._consecutive_failures >= self.failures:
            self._opened_at, self._probe_since = now, None

    def release(self) -> None:
        """The call showed nothing about the upstream's health (it was refused, or never sent)."""
        self._probe_since = None

    def state(self) -> State:
        if self._opened_at is None:
            return "closed"
        return "half-open" if self._probe_since is not None else "open"

    def seconds_left(self, now: float) -> float:
        return 0.0 if self._opened_at is None else max(0.0, self._opened_at + self.open_s - now)
