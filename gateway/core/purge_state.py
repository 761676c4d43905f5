"""What purges change: a few numbers that decide which cached answers are still valid.

A purge touches no entry, so it costs the same however much is cached, and an entry that somebody puts back stays
purged. A hard purge moves a number that is part of every cache key it concerns. All others set a time: answers whose
upstream call was sent before it are stale, or gone. So no purge is undone by a computation that was under way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import orjson

MAX_KEYS = 256
"""Purges of single entries that are remembered; beyond it the oldest becomes a purge by age."""


@dataclass(frozen=True, slots=True)
class PurgeState:
    """As the cache store has it. Times are seconds since the epoch.

    `serial` grows with every purge of any kind and is never below `epoch`. `models` counts hard purges by model,
    `stale` has the time of the last soft one by model, with "" for all. Answers from before `purged_before` are gone,
    and those in `keys`, which are purges of single entries by cache key.
    """

    epoch: int
    serial: int = 0
    models: Mapping[str, int] = field(default_factory=dict)
    purged_before: float = 0.0
    stale: Mapping[str, float] = field(default_factory=dict)
    keys: Mapping[str, float] = field(default_factory=dict)

    def generation(self, model: str) -> str:
        """The part of a cache key that a hard purge changes."""
        return f"{self.epoch}.{self.models.get(model, 0)}"

    def stale_before(self, model: str) -> float:
        """Answers of this model whose call was sent before this time are stale."""
        return max(self.stale.get("", 0.0), self.stale.get(model, 0.0))

    def gone_before(self, cache_key: str) -> float:
        """Answers under this cache key whose call was sent before this time are gone."""
        return max(self.purged_before, self.keys.get(cache_key, 0.0))


@dataclass(frozen=True, slots=True)
class Purge:
    """What to purge: one model (empty: all), only answers older than that, hard or soft; or one cache key.

    After a soft purge the old answers are stale: usable only while the upstream is down.
    """

    model: str = ""
    soft: bool = False
    older_than_s: float | None = None
    key: str = ""


def fresh(now: float, at_least: int) -> PurgeState:
    """For a store that has no state, or none to be believed: everything is purged. Above every number before it."""
    first = max(int(now * 1e6), at_least + 1)
    return PurgeState(first, first)


def after(state: PurgeState, what: Purge, now: float) -> PurgeState:
    """The state after this purge. No number in it becomes smaller, also where the clock was set back."""
    serial = max(state.serial + 1, int(now * 1e6))
    state, moment = replace(state, serial=serial), now - (what.older_than_s or 0.0)
    if what.key:
        return _without_key(state, what.key, moment)
    if what.soft:
        return replace(state, stale={**state.stale, what.model: max(state.stale.get(what.model, 0.0), moment)})
    if what.older_than_s is not None:
        return replace(state, purged_before=max(state.purged_before, moment))
    if what.model:
        return replace(state, models={**state.models, what.model: state.models.get(what.model, 0) + 1})
    return replace(state, epoch=serial, keys={})  # no entry has one of the old cache keys any more


def _without_key(state: PurgeState, key: str, moment: float) -> PurgeState:
    keys = {**state.keys, key: max(state.keys.get(key, 0.0), moment)}
    by_age = sorted(keys, key=lambda name: keys[name])
    dropped = [keys.pop(name) for name in by_age[: max(0, len(keys) - MAX_KEYS)]]
    return replace(state, keys=keys, purged_before=max(state.purged_before, *dropped, 0.0))


def encode(state: PurgeState) -> bytes:
    """The bytes of a state, before sealing."""
    return orjson.dumps(state)


def decode(content: bytes) -> PurgeState | None:
    """The state in these bytes, or None for one of another version."""
    try:
        fields: dict[str, Any] = orjson.loads(content)
        state = PurgeState(**fields)
        numbers = [state.epoch, state.serial, *state.models.values()]
        times = [state.purged_before, *state.stale.values(), *state.keys.values()]
        whole = all(type(number) is int for number in numbers) and all(isfinite(moment) for moment in times)
    except (ValueError, TypeError, AttributeError):
        return None
    return state if whole else None
