"""What purges leave behind: small numbers that decide which kept answers still count.

A purge touches no entry, so it costs the same whatever is kept. A hard one moves a number that is part of every
address it concerns: the old entries are out of reach at once, also for a computation that was under way. A soft one
and a purge by age set a time; answers computed before it are stale, or gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PurgeState:
    """As the cache store tells them. Times are seconds since the epoch.

    `serial` grows with every purge of any kind, that of one key included. `models` counts hard purges by model,
    `stale` holds soft ones by model, with "" for all. Answers computed before `purged_before` are gone.
    """

    epoch: int
    serial: int = 0
    models: Mapping[str, int] = field(default_factory=dict)
    purged_before: float = 0.0
    stale: Mapping[str, float] = field(default_factory=dict)

    def generation(self, model: str) -> str:
        """The part of an address that a hard purge changes."""
        return f"{self.epoch}.{self.models.get(model, 0)}"

    def stale_before(self, model: str) -> float:
        """Answers of this model that were computed before this time are stale."""
        return max(self.stale.get("", 0.0), self.stale.get(model, 0.0))


@dataclass(frozen=True, slots=True)
class Purge:
    """What to forget: of one model (empty: all of them), only what is older than that, only as far as stale.

    A soft purge keeps the entries to stand in while the upstream is down.
    """

    model: str = ""
    soft: bool = False
    older_than_s: float | None = None
