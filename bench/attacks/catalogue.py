"""All attacks by name, in the order in which they run."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bench.attacks import answers, bodies, connections, crashing, odd, refusals
from bench.attacks.attack import Attack

ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        attack.name: attack
        for module in (crashing, bodies, answers, refusals, connections, odd)
        for attack in module.ATTACKS
    }
)
