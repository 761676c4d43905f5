"""Refusals by a request rate, remembered until their time and held back for a moment.

A user over the rate is refused from this process's memory until the next request frees up, so that a flood of refused
requests costs no store call. A refusal is held for half a second where few are: the SDK's batch client tries ten times
without a pause, and a refusal at once loses the task (measured, see docs/decisions/0001).
"""

from collections import Counter
from dataclasses import replace

from gateway.core.lru import Lru
from gateway.core.quota import Limit, Verdict
from gateway.flow.runtime import Runtime

HOLD_S = 0.5
HELD_PER_USER, HELD = 32, 256


class RateRefusals:
    """Refusals by the limits that a request is charged to. Bounded in bytes; beyond the bounds nothing is held."""

    def __init__(self, runtime: Runtime) -> None:
        self._clock = runtime.clock
        self._standing: Lru[tuple[float, Verdict]] = Lru(4 * 2**20)
        self._held: Counter[str] = Counter()
        self._held_in_all = 0

    def remember(self, limits: tuple[Limit, ...], verdict: Verdict) -> None:
        """Nothing frees up before the time that the verdict says."""
        self._standing.put(limits, (self._clock.monotonic() + verdict.retry_after_s, verdict), 1024)

    def forget(self, limits: tuple[Limit, ...]) -> None:
        """Something was given back, so the time no longer holds."""
        self._standing.drop(limits)

    def standing(self, limits: tuple[Limit, ...]) -> Verdict | None:
        """The refusal that still stands, with the seconds that are left; None if the ledger is to be asked."""
        found = self._standing.get(limits)
        if found is None:
            return None
        left = found[0] - self._clock.monotonic()
        if left <= 0:
            self._standing.drop(limits)
            return None
        return _later(found[1], found[1].retry_after_s - left)

    async def hold(self, user: str, verdict: Verdict) -> Verdict:
        """The same refusal a moment later, unless too many are held already."""
        seconds = min(HOLD_S, verdict.retry_after_s)
        if self._held[user] >= HELD_PER_USER or self._held_in_all >= HELD or seconds <= 0:
            return verdict
        self._held[user] += 1
        self._held_in_all += 1
        try:
            await self._clock.sleep(seconds)
        finally:
            self._held_in_all -= 1
            self._held[user] -= 1
            if not self._held[user]:
                del self._held[user]
        return replace(_later(verdict, seconds), waited_s=verdict.waited_s + seconds)


def _later(verdict: Verdict, seconds: float) -> Verdict:
    """The verdict as it reads after some seconds; what is left of a limit is not guessed."""
    statuses = tuple(replace(status, reset_s=max(0.0, status.reset_s - seconds)) for status in verdict.statuses)
    return replace(verdict, retry_after_s=max(0.0, verdict.retry_after_s - seconds), statuses=statuses)
