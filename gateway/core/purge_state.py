"""What purges change: a few numbers that decide which cached answers are still valid.

A purge touches no entry, so it costs the same however much is cached. A hard purge moves a number that is part of
every cache key it concerns: the old entries cannot be found any more, not even one that is being computed at the
time. A soft purge and a purge by age set a time: answers computed before it are stale, or gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PurgeState:
    """As the cache store has it. Times are seconds since the epoch.

    `serial` grows with every purge of any kind, that of one cache key included. `models` counts hard purges by model,
    `stale` has the time of the last soft one by model, with "" for all. Answers from before `purged_before` are gone.
    """

    epoch: int
    serial: int = 0
    models: Mapping[str, int] = field(default_factory=dict)
    purged_before: float = 0.0
    stale: Mapping[str, float] = field(default_factory=dict)

    def generation(self, model: str) -> str:
        """The part of a cache key that a hard purge changes."""
        return f"{self.epoch}.{self.models.get(model, 0)}"

    def stale_before(self, model: str) -> float:
        """Answers of this model that were computed before this time are stale."""
        return max(self.stale.get("", 0.0), self.stale.get(model, 0.0))


@dataclass(frozen=True, slots=True)
class Purge:
    """What to purge: one model (empty: all), only answers older than that, hard or soft.

    After a soft purge the old answers are stale: usable only while the upstream is down.
    """

    model: str = ""
    soft: bool = False
    older_than_s: float | None = None
