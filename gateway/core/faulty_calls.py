"""Calls whose answers were at fault lately: one says something about itself, several about the upstream."""

from collections import OrderedDict

SEVERAL = 3
LATELY_S = 60.0
MAX_CALLS = 64


class FaultyCalls:
    """The calls whose last answers were at fault, by canonical digest; at most `MAX_CALLS`."""

    def __init__(self) -> None:
        self._at: OrderedDict[bytes, float] = OrderedDict()

    def add(self, now: float, call: bytes) -> bool:
        """One more; whether those of the last minute are several different calls."""
        self._at[call] = now
        self._at.move_to_end(call)
        while len(self._at) > MAX_CALLS or now - next(iter(self._at.values())) > LATELY_S:
            self._at.popitem(last=False)
        return len(self._at) >= SEVERAL
