"""The table of rules and the rule set in force: pure, settled after one pass, named by what is in it."""

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import orjson
import pytest

from gateway import endpoints
from gateway.core.endpoint import NormalizedBody, ParseConfig
from gateway.core.rules import RULES, SAMPLER, WIRE_NAME, NormalForm, RuleSet, rule_set, unknown_rules
from gateway.core.tracks import GENERATED
from gateway.core.types import DeterminismClass
from tests.claims.bodies import body
from tests.claims.moves import MOVES, OPTIONAL
from tests.claims.pairs import pair, valid
from tests.claims.table import TRACKS as TARGETS
from tests.endpoints.examples import ESM3, ESMC, TOKENS, Json, call, generation
from tests.endpoints.examples import RULES as MODELS

NAME = "generate_tensor"
EVERY = RuleSet(frozenset(rule.name for rule in SAMPLER))
DEFAULT = rule_set("sampler", {})
ENDPOINT = endpoints.find(f"/api/v1/{NAME}")


def normalized(made: Json) -> NormalizedBody:
    assert ENDPOINT is not None
    return ENDPOINT.parse_with_body(orjson.dumps(made), "", ParseConfig({ESM3: 1.0, ESMC: 0.5}))[0]


def form(made: Json) -> NormalForm:
    found = normalized(made).normal_form
    assert found is not None
    return found


def alike(one: NormalForm, other: NormalForm) -> bool:
    mine, theirs = one["inputs"]["coordinates"], other["inputs"]["coordinates"]
    if (mine is None) != (theirs is None) or (mine is not None and not np.array_equal(mine, theirs, equal_nan=True)):
        return False
    return plain(one) == plain(other)


def plain(made: NormalForm) -> dict[str, Any]:
    return {**made, "inputs": {**made["inputs"], "coordinates": None}}


def bodies() -> Iterator[Json]:
    """Bodies in which there is something to do for each rule and each pair of rules."""
    every = {**MOVES, **OPTIONAL}
    for number, (first, second) in enumerate((first, second) for first in every for second in every):
        chance = Random(number)
        both = [track for track in TARGETS if track in every[first].tracks and track in every[second].tracks]
        if both:
            made = body(chance, chance.choice(both), 9, deterministic=chance.random() < 0.5)
            every[first].prepare(chance, made)
            every[second].prepare(chance, made)
            for move in (every[first], every[second]):
                other = move.move(chance, made)
                if other is not None and valid(other):
                    yield other
    for number in range(200):
        yield pair(Random(number)).other


def test_a_second_pass_changes_nothing() -> None:
    for made in bodies():
        once = EVERY.apply(form(made))
        assert [rule.name for rule, did in EVERY.trace(once) if did] == []


def test_a_rule_never_writes_into_the_form_it_gets() -> None:
    for made in bodies():
        given = form(made)
        before = copy.deepcopy(given)
        EVERY.apply(given)
        assert alike(given, before)


def test_a_rule_that_changes_nothing_gives_back_the_same_form() -> None:
    for made in bodies():
        before = form(made)
        for rule, did in EVERY.trace(before):
            assert rule.apply is not None
            after = rule.apply(before)
            assert did == (after is not before) == (not alike(after, before))
            before = after


def test_what_goes_upstream_is_what_the_caller_wrote_whatever_the_rules() -> None:
    for number in range(100):
        made = pair(Random(number)).one
        wire, sampler = (
            call(NAME, made, rules=ParseConfig(MODELS.models, rule_set=each)) for each in (RuleSet(), EVERY)
        )
        assert (wire.body, wire.canonical_digest, wire.units) == (sampler.body, sampler.canonical_digest, sampler.units)
        assert wire.determinism == sampler.determinism


def test_rules_that_share_never_mix_classes_that_are_kept_with_others() -> None:
    """An answer that is drawn each time never stands where one that is kept is looked for."""
    for number in range(400):
        made = pair(Random(number))
        if made.same == "sampler":
            one, other = (call(NAME, each).determinism.cls for each in (made.one, made.other))
            assert (one is DeterminismClass.SAMPLED) == (other is DeterminismClass.SAMPLED)


def test_at_level_wire_a_call_is_shared_by_its_canonical_digest() -> None:
    made = call(NAME, generation())
    assert (made.sharing_digest, made.template_track) == (b"", None)
    assert made.cache_digest == made.canonical_digest


@pytest.mark.parametrize("track", GENERATED)
def test_with_any_rule_in_force_a_call_is_spliced_and_keyed_under_that_rule_set(track: str) -> None:
    changes: Json = {"temperature": 0, "inputs": {**TOKENS}}
    sets = [rule_set("wire", {rule.name: True}) for rule in SAMPLER] + [DEFAULT, EVERY]
    calls = [call(NAME, generation(track, **changes), rules=ParseConfig(MODELS.models, rule_set=each)) for each in sets]
    assert {made.template_track for made in calls} == {track}
    assert len({made.cache_digest for made in calls}) == len(sets)
    assert len({made.canonical_digest for made in calls}) == 1


@pytest.mark.parametrize("name", ["encode", "decode", "logits"])
def test_other_endpoints_are_shared_as_written(name: str) -> None:
    inputs = {"sequence": "AC"} if name == "encode" else {"sequence": TOKENS["sequence"]}
    made: Json = {"model": ESM3, "inputs": inputs}
    if name == "logits":
        made["logits_config"] = {"sequence": True}
    seen = call(name, made, rules=ParseConfig(MODELS.models, rule_set=EVERY))
    assert (seen.sharing_digest, seen.template_track) == (b"", None)


def test_the_name_of_a_rule_set_tells_what_is_in_it() -> None:
    assert RuleSet().name == rule_set("wire", {}).name == WIRE_NAME
    names = [RuleSet(frozenset({rule.name})).name for rule in SAMPLER] + [DEFAULT.name, EVERY.name]
    assert len(set(names)) == len(names)
    assert all(name.startswith("sampler-") and len(name) == 16 for name in names)
    assert rule_set("sampler", {}).name == rule_set("wire", dict.fromkeys(DEFAULT.names, True)).name


def test_single_rules_are_switched_on_and_off_beside_the_level() -> None:
    assert rule_set("wire", {"backbone": True, "spare_steps": False}).names == {"backbone"}
    assert rule_set("sampler", {"backbone": False}).names == DEFAULT.names - {"backbone"}
    assert rule_set("sampler", {"unmask_counts": True}) == EVERY
    assert "unmask_counts" not in DEFAULT.names


def test_a_name_that_no_rule_has_is_refused() -> None:
    assert unknown_rules(["backbone", "backbones", "member_order"]) == ["backbones", "member_order"]
    with pytest.raises(ValueError, match="backbones"):
        RuleSet(frozenset({"backbones"}))


def test_every_row_says_what_it_is_when_it_holds_and_how_that_is_known() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.what.endswith(".")
        assert rule.condition
        assert rule.where
        assert "tests/" in rule.evidence
        assert set(rule.tracks) <= set(GENERATED)
        assert (rule.apply is None) == (rule.level == "wire")


def test_a_trace_names_what_was_at_work() -> None:
    made = generation("sasa", num_steps=8, invalid_ids=[0, 5], inputs={**TOKENS}, temperature=0)
    steps = DEFAULT.trace(form(made))
    assert [rule for rule, _ in steps] == list(DEFAULT.rules)
    at_work = ["discarded_structure", "backbone", "annotation_pairs", "foreign_invalid_ids", "spare_steps"]
    assert [rule.name for rule, did in steps if did] == at_work


def test_a_canonical_form_can_be_shown_at_both_levels() -> None:
    assert ENDPOINT is not None
    body = normalized(generation("sasa", inputs={**TOKENS}))
    assert ENDPOINT.sharing_form(body, RuleSet()) == ENDPOINT.canonical_form(body)
    shown = orjson.loads(ENDPOINT.sharing_form(body, DEFAULT))
    assert shown[:2] == [DEFAULT.name, NAME]
    assert shown[3]["inputs"]["structure"] is None
    assert shown[3]["inputs"]["coordinates"][0] == [8, 3, 3]
    assert shown[3]["length"] == 8
