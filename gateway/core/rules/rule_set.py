"""The rules in force: which calls share an answer beyond those that no upstream could tell apart."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from gateway.core.rules.conditioning import (
    ANNOTATIONS,
    COORDINATES,
    EMPTY_CONDITIONING,
    EMPTY_GENERATED,
    STRUCTURES,
)
from gateway.core.rules.counts import COUNTS
from gateway.core.rules.parameters import FLAG, IDS, ONE_STEP, STEPS
from gateway.core.rules.rule import Level, NormalForm, Rule
from gateway.core.rules.wire import WIRE

VERSION = "1"
"""To be raised whenever a sampler rule changes what it makes of a form: old entries are then not found."""
WIRE_NAME = "wire-2"

# The order counts: structure goes before what depends on its absence, steps before what depends on there being one.
SAMPLER: Sequence[Rule] = (
    *STRUCTURES,
    *COORDINATES,
    *ANNOTATIONS,
    *EMPTY_CONDITIONING,
    *IDS,
    *STEPS,
    *COUNTS,
    *ONE_STEP,
    *EMPTY_GENERATED,
    *FLAG,
)
RULES: Sequence[Rule] = (*WIRE, *SAMPLER)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Some of the sampler rules, by name; none of them is the level `wire`. `name` is part of every cache key."""

    names: frozenset[str] = frozenset()
    rules: Sequence[Rule] = field(init=False, repr=False, compare=False)
    name: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        rules = tuple(rule for rule in SAMPLER if rule.name in self.names)
        if len(rules) != len(self.names):
            raise ValueError(f"no such rule: {', '.join(sorted(self.names - {rule.name for rule in rules}))}")
        listed = ",".join((VERSION, *sorted(self.names)))
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "name", f"sampler-{sha256(listed.encode()).hexdigest()[:8]}" if rules else WIRE_NAME)

    @property
    def shares(self) -> bool:
        """Whether calls that an upstream could tell apart may share an answer."""
        return bool(self.rules)

    def apply(self, form: NormalForm) -> NormalForm:
        """The form that all calls have which share an answer with this one."""
        for rule in self.rules:
            assert rule.apply is not None
            form = rule.apply(form)
        return form

    def context(self, form: NormalForm) -> list[tuple[Rule, bool]]:
        """Each rule in force, in order, and whether it changed the form."""
        steps: list[tuple[Rule, bool]] = []
        for rule in self.rules:
            assert rule.apply is not None
            before, form = form, rule.apply(form)
            steps.append((rule, form is not before))
        return steps


def rule_set(level: Level, switches: Mapping[str, bool]) -> RuleSet:
    """What the settings say: a level, and single rules switched on or off beside it. Names are known ones."""
    names = {rule.name for rule in SAMPLER if switches.get(rule.name, level == "sampler" and not rule.optional)}
    return RuleSet(frozenset(names))


def unknown_rules(names: Collection[str]) -> list[str]:
    """Those names that no rule has which could be switched."""
    return sorted(set(names) - {rule.name for rule in SAMPLER})
