"""Which hits are computed a second time, and whether two answers are the same.

Hits are chosen at random, not by counting to a hundred, so that no pattern of requests escapes or attracts the check.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import log, log1p
from typing import Any

import orjson

from gateway.core.quota import DAY_S, Limit

BUDGET_HOLDER = "-spot-check"
"""Whose quota pays: a name that no user can have, since theirs begin with a letter or a digit."""
NEVER = 2**62


@dataclass(frozen=True, slots=True)
class SpotCheckConfig:
    """What the settings say: the fraction of hits (0 to 1), the classes, and the units a day of all workers together.

    `interval_s` is the shortest time between two checks of one entry that was found right.
    """

    fraction: float = 0.01
    units_per_day: int = 100_000
    classes: Collection[str] = ("exact",)
    interval_s: float = 600.0
    models: Collection[str] = ()
    rule_set: str = ""

    @property
    def limit(self) -> Limit:
        return Limit("spot-check-units", "units", BUDGET_HOLDER, self.units_per_day, DAY_S, self.units_per_day)


def hits_until_next(fraction: float, random_bytes: bytes) -> int:
    """After how many hits (from 1) the next chosen one comes, if each is chosen independently with this probability.

    That is a geometric distribution, so one draw (`random_bytes`, eight of them) serves all the hits in between.
    """
    if fraction <= 0:
        return NEVER
    if fraction >= 1:
        return 1
    uniform = (int.from_bytes(random_bytes) + 1) / (2**64 + 1)
    return 1 + int(log(uniform) / log1p(-fraction))


def same_outputs(one: bytes, other: bytes) -> bool:
    """Whether two answers to the same call have equal `outputs`, compared as JSON values."""
    return one == other or _outputs(one) == _outputs(other)


def _outputs(body: bytes) -> Any:
    tree: Any = orjson.loads(body)
    answer = tree.get("data") if isinstance(tree, dict) and "outputs" not in tree else tree
    return answer["outputs"] if isinstance(answer, dict) and "outputs" in answer else tree
