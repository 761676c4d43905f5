"""Every claim of the table holds for the keys: what is said to be one call is one, and nothing else is."""

import pytest

from gateway.core.endpoint import ParseConfig
from gateway.core.rules import RULES, SAMPLER, RuleSet, rule_set
from gateway.core.types import Call
from tests.claims.table import Claim, claims
from tests.endpoints.examples import ESM3, ESMC, Json, call

CLAIMS = tuple(claims())
EVERY = RuleSet(frozenset(rule.name for rule in SAMPLER))
FROM = {"wire": 0, "sampler": 1, "optional": 2, "never": 3}
"""How much has to be in force before two bodies are one call."""


def asked(body: Json, canonical: RuleSet) -> Call:
    return call("generate_tensor", body, rules=ParseConfig({ESM3: 1.0, ESMC: 0.5}, rule_set=canonical))


def are_one(claim: Claim, canonical: RuleSet) -> bool:
    one, other = asked(claim.one, canonical), asked(claim.other, canonical)
    assert one.cache_digest == (one.sharing_digest if canonical.shares else one.canonical_digest)
    return one.cache_digest == other.cache_digest


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_the_claim_holds_at_every_level(claim: Claim) -> None:
    levels = [rule_set("wire", {}), rule_set("sampler", {}), EVERY]
    assert [are_one(claim, level) for level in levels] == [FROM[claim.same] <= i for i in range(3)]


@pytest.mark.parametrize("rule", [rule.name for rule in SAMPLER])
def test_no_claim_of_a_difference_hangs_on_other_rules(rule: str) -> None:
    """What one rule relies on, it sees to itself: others can be switched off."""
    for canonical in (RuleSet(frozenset({rule})), RuleSet(EVERY.names - {rule})):
        shared = [str(claim) for claim in CLAIMS if claim.same == "never" and are_one(claim, canonical)]
        assert shared == []


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.same in ("sampler", "optional")], ids=str)
def test_a_rule_needs_nobody_but_those_it_is_claimed_with(claim: Claim) -> None:
    """Without its rule no claim holds; so the table notices each rule that is gone."""
    assert claim.rule is not None
    assert are_one(claim, RuleSet(frozenset({claim.rule} | WITH.get(claim.name, set()))))
    assert not are_one(claim, RuleSet(rule_set("sampler", {}).names - {claim.rule}))


WITH = {"the strategy of one masked position": {"spare_steps"}}


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_every_rule_has_claims_for_and_against(rule: str) -> None:
    mine = {claim.same for claim in CLAIMS if claim.rule == rule}
    assert mine & {"wire", "sampler", "optional"}
    assert "never" in mine


@pytest.mark.parametrize("rule", [rule for rule in SAMPLER if not rule.optional], ids=lambda rule: rule.name)
def test_a_sampler_rule_is_claimed_for_every_track_it_names_and_no_other(rule: object) -> None:
    row = next(each for each in SAMPLER if each is rule)
    assert {claim.track for claim in CLAIMS if claim.rule == row.name and claim.same == "sampler"} == set(row.tracks)


def test_the_table_names_no_rule_that_does_not_exist() -> None:
    levels = {rule.name: "optional" if rule.optional else rule.level for rule in RULES}
    for claim in CLAIMS:
        assert claim.rule is None or claim.rule in levels
        assert claim.same in ("never", levels.get(claim.rule or ""))
