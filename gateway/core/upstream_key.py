"""One upstream key: how many calls may be in flight with it, and for how long it rests after refusals.

The number follows AIMD (additive increase, multiplicative decrease, RFC 5681 section 3.1): each success lets a little
more through, a refusal halves it. A key rests only after a second look: a refusal of a call that was sent after an
earlier refusal had come back. Rests grow while refusals go on, and end with the first success. A caller whose calls
alone were refused holds up nobody else: another caller's call may look at once.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

KeyState = Literal["ready", "cooling_down", "disabled"]
RefusalKind = Literal["cooling_down", "disabled"]

FIRST_REST_S = 1.0
MAX_REST_S = 120.0
"""Longest rest after a 429 or 402, whatever Retry-After says."""
MAX_DISABLED_S = 300.0
LOOK_AGAIN_S = 1.0
"""A look that is not refused for so long lets another one go: a refusal comes at once, an answer may take minutes."""
MAX_CALLERS = 1024
"""Callers of whom a refusal is remembered."""


@dataclass(slots=True, eq=False)
class UpstreamKey:
    """One credential of the upstream and its state. `concern`: for declared sequences of concern, and only those."""

    name: str
    secret: str = field(repr=False)
    concern: bool = False
    max_window: int = 64
    in_flight: int = 0
    window: float = 0.0
    """How many calls may be in flight."""
    threshold: float = 0.0
    """Below it the window grows by one with each success, above it by one with each round."""
    looks: int = 0
    """Refusals in a row, each of a call sent after the one before had come back."""
    kind: RefusalKind = "cooling_down"
    refused_at: float = float("-inf")
    rests_until: float = float("-inf")
    unavailable_since: float = 0.0
    sent_at: float = float("-inf")
    looked_at: float = float("-inf")
    """When a call was last sent in spite of a rest."""
    refused: set[str] = field(default_factory=set, repr=False)
    """Callers whose calls were refused since anybody's last success."""
    blamed: "OrderedDict[str, None]" = field(default_factory=OrderedDict, repr=False)
    """Callers whose calls were refused since a success of their own: each lowers the window once."""

    def __post_init__(self) -> None:
        self.limit(self.max_window)

    def limit(self, max_window: int) -> None:
        """At most so many calls in flight."""
        self.max_window, self.window, self.threshold = max_window, float(max_window), float(max_window)

    def state(self, now: float) -> KeyState:
        return self.kind if now < self.rests_until else "ready"

    def seconds_left(self, now: float, caller: str) -> float:
        """Seconds of rest until a call of this caller may go; 0 while it does not rest for them."""
        if now >= self.rests_until:
            return 0.0
        until = self.rests_until if caller in self.refused else min(self.rests_until, self.looked_at + LOOK_AGAIN_S)
        return max(0.0, until - now)

    def has_room(self, now: float, caller: str) -> bool:
        """Whether a call of this caller may be sent with it now."""
        if self.seconds_left(now, caller) > 0:
            return False
        if self.in_flight < max(1, int(self.window)) or now < self.rests_until:
            return True
        return self.looks > 0 and self.in_flight < self.max_window and now - self.sent_at >= LOOK_AGAIN_S

    def sent(self, now: float) -> None:
        self.in_flight += 1
        self.sent_at = now
        if now < self.rests_until:
            self.looked_at = now

    def returned(self) -> None:
        self.in_flight -= 1

    def succeeded(self, sent_at: float, caller: str) -> None:
        """A call came back with an answer. One that was sent before a refusal says nothing about what came after."""
        self.blamed.pop(caller, None)
        if sent_at >= self.refused_at:
            self.looks, self.rests_until, self.looked_at = 0, float("-inf"), float("-inf")
            self.refused.clear()
        step = 1.0 if self.window < self.threshold else 1.0 / max(1.0, self.window)
        self.window = min(float(self.max_window), self.window + step)

    def was_refused(
        self, now: float, sent_at: float, caller: str, kind: RefusalKind, asked_s: float | None, most_s: float
    ) -> bool:
        """A call was refused for this key's sake. `asked_s`: Retry-After; `most_s`: the longest rest without it.

        Returns whether the key rests now and did not before.
        """
        rested = now < self.rests_until
        if sent_at < self.refused_at:
            if rested and asked_s is not None:
                self.rests_until = max(self.rests_until, now + min(MAX_REST_S, asked_s))
            return False
        if self.looks == 0:
            self.unavailable_since = now
        self.looks += 1
        self.kind, self.refused_at = kind, now
        if caller not in self.blamed:
            self.threshold = max(1.0, self.window / 2)
            self.window = 1.0 if kind == "disabled" else self.threshold
        self._blame(caller)
        if self.looks < 2:
            return False
        growing = FIRST_REST_S * 2.0 ** min(20, self.looks - 2)
        self.rests_until = now + (min(growing, most_s) if asked_s is None else min(MAX_REST_S, asked_s))
        self.window = 1.0
        return not rested

    def _blame(self, caller: str) -> None:
        if len(self.refused) < MAX_CALLERS:
            self.refused.add(caller)
        self.blamed[caller] = None
        if len(self.blamed) > MAX_CALLERS:
            self.blamed.popitem(last=False)
