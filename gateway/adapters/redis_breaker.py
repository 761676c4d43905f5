"""The circuit breaker of the cache store: while it is open, callers lose no time on a store that does not answer.

It opens for half a second, doubling up to five; then one half-open probe, whose success closes it. The state store has
none: without quotas and keys no request can be served, so it is always asked.
"""

from collections.abc import Callable

from gateway.core.store_faults import StoreFault

# Failures among successes show a busy store; it counts as lost only after this long without a success.
SILENCE_S = 0.25
FIRST_OPEN_S = 0.5
MAX_OPEN_S = 5.0


class StoreBreaker:
    """Call `admits()` before an operation, and `succeeded()`, `failed()` or `abandoned()` after it.

    `fault` is why the last one failed.
    """

    __slots__ = ("_last_success", "_monotonic", "_open_s", "_open_until", "_probing", "fault")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._open_s = 0.0
        self._open_until = 0.0
        self._probing = False
        self._last_success = float("-inf")
        self.fault: StoreFault = "timeout"

    def __repr__(self) -> str:
        return f"<StoreBreaker {'open' if self._open_s else 'closed'}>"

    def admits(self) -> bool:
        if not self._open_s:
            return True
        if self._probing or self._monotonic() < self._open_until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        self._last_success = self._monotonic()
        self._open_s = 0.0
        self._probing = False

    def failed(self, fault: StoreFault = "timeout") -> None:
        now = self._monotonic()
        self.fault = fault
        if not self._open_s and now - self._last_success < SILENCE_S:
            return
        if self._open_s and not self._probing and now < self._open_until:
            # One of the operations in progress when the store was lost: the same failure, not a new one.
            return
        self._open_s = min(MAX_OPEN_S, self._open_s * 2 or FIRST_OPEN_S)
        self._open_until = now + self._open_s
        self._probing = False

    def abandoned(self) -> None:
        """The caller was cancelled before the store answered: the outcome is unknown, and another caller may probe."""
        self._probing = False
