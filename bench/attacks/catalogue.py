"""All attacks by name, in the order in which they run."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bench.attacks import bodies, crashing, refusals
from bench.attacks.attack import Attack

ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType(
    {attack.name: attack for rows in (crashing.ATTACKS, bodies.ATTACKS, refusals.ATTACKS) for attack in rows}
)
