"""A circuit: after a failure a store is not asked for a moment, so that a dead one costs its callers no time.

Half a second at first, doubling to five; then one call tries, and its success closes the circuit. It holds no store
and knows no operations. Used for the cache alone: without quotas and keys nothing goes on, so they are always asked.
"""

from collections.abc import Callable

# Failures beside successes are a store that is busy; only after this long without any is it taken for lost.
SILENT_S = 0.25
FIRST_S = 0.5
LONGEST_S = 5.0


class StoreBreaker:
    """Ask `admits()` before a call, tell `succeeded()`, `failed()` or `abandoned()` after it."""

    __slots__ = ("_monotonic", "_pause", "_succeeded", "_trial", "_until")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._pause = 0.0
        self._until = 0.0
        self._trial = False
        self._succeeded = float("-inf")

    def __repr__(self) -> str:
        return f"<Circuit {'open' if self._pause else 'closed'}>"

    def admits(self) -> bool:
        if not self._pause:
            return True
        if self._trial or self._monotonic() < self._until:
            return False
        self._trial = True
        return True

    def succeeded(self) -> None:
        self._succeeded = self._monotonic()
        self._pause = 0.0
        self._trial = False

    def failed(self) -> None:
        now = self._monotonic()
        if not self._pause and now - self._succeeded < SILENT_S:
            return
        if self._pause and not self._trial and now < self._until:
            # One of many that were under way when the store was lost: that is still the same loss.
            return
        self._pause = min(LONGEST_S, self._pause * 2 or FIRST_S)
        self._until = now + self._pause
        self._trial = False

    def abandoned(self) -> None:
        """The caller went away before the store answered: nothing was learnt, another may try."""
        self._trial = False
