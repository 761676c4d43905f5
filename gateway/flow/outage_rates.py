"""Request rates while the state store is away: counted in this process, for hits alone.

The rule is that of the store (GCRA), but each worker counts for itself and begins with a full burst. So while the store
is away a user gets at most what the limit allows, once for each worker; nothing of it is charged to the store later.
"""

from math import ceil

from gateway.core.lru import Lru
from gateway.core.quota import Limit, LimitStatus, Verdict
from gateway.flow.runtime import Runtime

REMEMBERED_BYTES = 2**20
ENTRY_BYTES = 256
SLACK_S = 1e-6
"""Differences of times are no finer than this."""


class OutageRates:
    """By limit, the theoretical arrival time of its next request (monotonic seconds)."""

    def __init__(self, runtime: Runtime) -> None:
        self._clock = runtime.clock
        self._arrivals: Lru[float] = Lru(REMEMBERED_BYTES)

    def charge(self, limits: tuple[Limit, ...]) -> Verdict:
        """One request on all limits, or on none."""
        now = self._clock.monotonic()
        ahead = [max(0.0, (self._arrivals.get(limit) or now) - now) for limit in limits]
        over = [seconds + _interval(limit) * (1 - _burst(limit)) for seconds, limit in zip(ahead, limits, strict=True)]
        refused = next((limit for limit, seconds in zip(limits, over, strict=True) if seconds > SLACK_S), None)
        if refused is not None:
            return Verdict(refused, max(over), _statuses(limits, ahead))
        ahead = [seconds + _interval(limit) for seconds, limit in zip(ahead, limits, strict=True)]
        for limit, seconds in zip(limits, ahead, strict=True):
            self._arrivals.put(limit, now + seconds, ENTRY_BYTES)
        return Verdict(None, 0.0, _statuses(limits, ahead))


def _interval(limit: Limit) -> float:
    """Seconds between two requests at the sustained rate."""
    return limit.window_s / max(1, limit.amount)


def _burst(limit: Limit) -> int:
    return limit.burst if limit.amount > 0 else 0


def _statuses(limits: tuple[Limit, ...], ahead: list[float]) -> tuple[LimitStatus, ...]:
    return tuple(
        LimitStatus(limit, max(0, _burst(limit) - ceil(seconds / _interval(limit) - SLACK_S)), round(seconds, 6))
        for limit, seconds in zip(limits, ahead, strict=True)
    )
