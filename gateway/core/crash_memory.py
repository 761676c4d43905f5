"""Calls that made the upstream fail twice while it answered others: remembered for a minute, and not sent again.

Only for a 500, which the upstream answers to a call; 502, 503, 504 and lost connections are about the upstream.
"""

from collections import OrderedDict
from dataclasses import dataclass

REMEMBERED_S = 60.0
LATELY_S = 60.0
"""For how long the success of another call shows that the upstream works."""
MAX_CALLS = 4096


@dataclass(slots=True)
class Crash:
    """How often one call failed, when last, and the reason that the upstream gave."""

    count: int
    at: float
    reason: str
    remembered: bool = False


class CrashMemory:
    """The latest failures by canonical digest of the call; at most `MAX_CALLS`."""

    def __init__(self) -> None:
        self._crashes: OrderedDict[bytes, Crash] = OrderedDict()
        # The last successes of two different calls: one of them is another call than the one in question.
        self._successes: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._crashes)

    def reason(self, now: float, call: bytes) -> str | None:
        """Why this call is not sent now ("" where the upstream gave no reason); None: it is."""
        crash = self._of(now, call)
        return crash.reason if crash is not None and crash.remembered else None

    def seconds_ago(self, now: float, call: bytes) -> float | None:
        """How long ago this call failed, if it did lately."""
        crash = self._of(now, call)
        return None if crash is None else now - crash.at

    def failed(self, now: float, call: bytes, reason: str) -> None:
        crash = self._of(now, call) or Crash(0, now, reason)
        others = any(now - at <= LATELY_S for other, at in self._successes.items() if other != call)
        crash.count += 1
        crash.at, crash.reason = now, reason
        crash.remembered = crash.remembered or (crash.count >= 2 and others)
        self._crashes[call] = crash
        self._crashes.move_to_end(call)
        if len(self._crashes) > MAX_CALLS:
            self._crashes.popitem(last=False)

    def succeeded(self, now: float, call: bytes) -> None:
        self._crashes.pop(call, None)
        self._successes[call] = now
        self._successes.move_to_end(call)
        if len(self._successes) > 2:
            self._successes.popitem(last=False)

    def _of(self, now: float, call: bytes) -> Crash | None:
        crash = self._crashes.get(call)
        if crash is not None and now - crash.at >= REMEMBERED_S:
            del self._crashes[call]
            return None
        return crash
