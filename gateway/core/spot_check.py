"""Which hits are computed a second time, and whether two answers say the same.

The choice is made by chance and not by counting to a hundred: who asks in a pattern cannot fall beside it, nor into it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import log, log1p
from typing import Any

import orjson

from gateway.core.quota import DAY_S, Limit

BUDGET_HOLDER = "-spot-check"
"""Who is charged: a name that no user can have, since theirs begin with a letter or a digit."""
NEVER = 2**62


@dataclass(frozen=True, slots=True)
class SpotCheckConfig:
    """What the settings say: the share of hits (0 to 1), the classes, and the units a day of the whole fleet.

    `interval_s` is how long a worker lets an answer rest that has just been found right.
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
    """How many hits on the next chosen one is, from 1, where each is chosen with this share by itself.

    `random_bytes` are eight unpredictable bytes. A geometric distribution, so one draw does for all the hits between.
    """
    if fraction <= 0:
        return NEVER
    if fraction >= 1:
        return 1
    even = (int.from_bytes(random_bytes) + 1) / (2**64 + 1)
    return 1 + int(log(even) / log1p(-fraction))


def same_outputs(one: bytes, other: bytes) -> bool:
    """Whether two answers to the same call have equal outputs, as JSON values; what surrounds them does not count."""
    return one == other or _outputs(one) == _outputs(other)


def _outputs(body: bytes) -> Any:
    tree: Any = orjson.loads(body)
    inner = tree.get("data") if isinstance(tree, dict) and "outputs" not in tree else tree
    return inner["outputs"] if isinstance(inner, dict) and "outputs" in inner else tree
