"""The table of rules, and which of them are in force.

The wire rules are for people: parsing follows them by construction, and they cannot be switched off.
"""

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

VERSION = "1"
"""Raise it whenever the result of a sampler rule changes: entries from before are then not found any more."""
WIRE_NAME = "wire-2"
_PARSED = "by construction; tests/claims, tests/endpoints/test_canonical.py"


def _wire(name: str, what: str, condition: str, where: str, evidence: str = _PARSED) -> Rule:
    return Rule(name, "wire", what, condition, evidence, where)


WIRE = (
    _wire("member_order", "The order of members does not matter.", "always", "gateway/core/endpoint.py"),
    _wire(
        "number_spelling",
        "5, 5.0 and 50e-1 are the same number, and so are 0 and -0.0.",
        "always",
        "gateway/core/strict_json.py; gateway/endpoints/generate_tensor.py: parameters",
    ),
    _wire(
        "null_is_absent",
        "null means absent.",
        "parameters and tracks, on every endpoint; but where null is a choice (`msa_max_depth`)",
        "gateway/core/endpoint.py: Body; gateway/core/canonical_form.py",
    ),
    _wire(
        "defaults",
        "A default that is written out means the same as one left out.",
        "the dated set of defaults in the settings; default steps never exceed the positions; on the other endpoints "
        "the defaults that every release of the SDK documents",
        "gateway/endpoints/generate_tensor.py: parameters; gateway/core/canonical_form.py",
    ),
    _wire(
        "invalid_ids_set",
        "Order and repeats in `invalid_ids` do not matter.",
        "always",
        "gateway/endpoints/generate_tensor.py: parameters",
        "0/400 differ (3.2.1), 0/48 (3.4.1), tests/sampler",
    ),
    _wire(
        "coordinates_float32",
        "Coordinates are rounded to the nearest float32.",
        "always; no further (3/200 differ at three decimals)",
        "gateway/core/coordinates.py",
        "0/400 differ, logits bit-equal (3.2.1), 0/120 (3.4.1), tests/sampler",
    ),
    _wire(
        "annotation_padding",
        "Zeros in a row of residue annotations and the row's width do not matter.",
        "always; the order of the other ids does",
        "gateway/endpoints/generate_tensor.py: read_inputs",
        "0/200 differ, logits bit-equal (3.2.1), 0/60 (3.4.1), tests/sampler",
    ),
)

# The order matters: structure comes before rules that depend on its absence, steps before those about one step.
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
    """The sampler rules in force; none of them at level `wire`. `name` is part of every cache key."""

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
        """Whether any sampler rule is in force."""
        return bool(self.rules)

    def apply(self, form: NormalForm) -> NormalForm:
        """The canonical form: equal for all calls that share an answer."""
        for rule in self.rules:
            assert rule.apply is not None
            form = rule.apply(form)
        return form

    def trace(self, form: NormalForm) -> list[tuple[Rule, bool]]:
        """Each rule in force, in order, and whether it changed the form."""
        steps: list[tuple[Rule, bool]] = []
        for rule in self.rules:
            assert rule.apply is not None
            before, form = form, rule.apply(form)
            steps.append((rule, form is not before))
        return steps


def rule_set(level: Level, switches: Mapping[str, bool]) -> RuleSet:
    """The rules of a level, with single ones switched on or off."""
    names = {rule.name for rule in SAMPLER if switches.get(rule.name, level == "sampler" and not rule.optional)}
    return RuleSet(frozenset(names))


def unknown_rules(names: Collection[str]) -> list[str]:
    """Names that are not those of a rule that can be switched."""
    return sorted(set(names) - {rule.name for rule in SAMPLER})
