"""Explanations say what holds of a call, and nothing that an answer or another caller would have to be asked for."""

import json
from hashlib import sha256
from typing import Any

import orjson
import pytest

from gateway import endpoints
from gateway.core.cache_plan import BYPASS_REASONS, CacheConfig, plan_for
from gateway.core.endpoint import ParseConfig
from gateway.core.explanation import WHY_NOT_STORED, ExplainedCall, explanation
from gateway.core.problems import Problem
from gateway.core.purge_state import PurgeState
from gateway.core.rules import RULES, SAMPLER, RuleSet, rule_set
from gateway.core.types import CacheScope, KeyRecord, Namespace, Principal
from tests.endpoints.examples import ESM3 as MODEL

BODY: dict[str, Any] = {
    "model": MODEL,
    "track": "sequence",
    "inputs": {"sequence": [0, 32, 5, 32, 32, 2]},
    "num_steps": 2,
    "temperature": 0,
    "strategy": "entropy",
    "temperature_annealing": False,
}
NAMESPACES = {"live": Namespace("live", 1.0), "done": Namespace("done", 1.0, frozen=2.0)}
SECRET, MARKS = b"s" * 32, PurgeState(1)


def explained(
    changes: dict[str, Any] | None = None,
    *,
    scope: CacheScope | None = None,
    purge_state: PurgeState | None = MARKS,
    canonical: RuleSet | None = None,
    endpoint: str = "generate_tensor",
    asked: str | None = None,
    in_full: bool = False,
    **cache_config: Any,
) -> dict[str, Any]:
    found = endpoints.find(f"/api/v1/{endpoint}")
    assert found is not None
    rules = ParseConfig({MODEL: 2.0}, rule_set=canonical or RuleSet())
    what = ExplainedCall.of(
        found, orjson.dumps(changes if endpoint != "generate_tensor" else BODY | (changes or {})), "", rules
    )
    who = Principal(KeyRecord("k", "d", "ada", "lab", 0.0, cache=scope))
    terms = CacheConfig(SECRET, "http://upstream", rule_set=rules.rule_set.name, **cache_config)
    plan = plan_for(what.call, who, terms, purge_state, NAMESPACES.get, found.cacheable, asked)
    return explanation(what, who, plan, terms, rules.rule_set, 2**24, in_full=in_full)


def test_everything_that_is_said_is_json() -> None:
    body = {"inputs": {"sequence": [0, 32, 5, 32, 32, 2], "coordinates": [[[1.5, None, -0.0]] * 37] * 6}}
    for in_full in (False, True):
        about = explained(body, in_full=in_full)
        assert json.loads(json.dumps(about, allow_nan=False)) == about


def test_no_explanation_holds_an_address() -> None:
    for asked in (None, "namespace=live", "pool=lab"):
        about = explained(asked=asked)
        assert "key" not in about
        assert "address" not in about


def test_what_decides_the_class_is_the_class() -> None:
    for changes in (
        {},
        {"temperature": 0.5},
        {"strategy": "random"},
        {"temperature_annealing": True},
        {"num_steps": 1},
    ):
        about = explained(changes)
        missed = [each for each in about["determinism"] if not each["holds"]]
        assert (about["class"] == "exact") == (not missed) == (about["remedy"] is None)
        assert all(each["change"] in about["remedy"] for each in missed)


def test_the_strategy_does_not_matter_where_only_one_position_waits() -> None:
    about = explained({"strategy": "random", "inputs": {"sequence": [0, 32, 5, 5, 5, 2]}})
    assert (about["class"], about["reason"]) == ("exact", "one step")


def test_following_the_remedy_that_is_told_makes_the_call_exact() -> None:
    about = explained({"temperature": 0.7, "strategy": "random", "temperature_annealing": True})
    told = json.loads("{" + about["remedy"].removeprefix("set ") + "}")
    assert explained(told)["class"] == "exact"


@pytest.mark.parametrize(
    "how, stored, why",
    [
        ({}, True, "the answer is stored for 30 days, unless it is larger than 16 MiB"),
        ({"changes": {"strategy": "random"}}, True, "the first answer is stored for 30 days, unless it is larger than"),
        ({"changes": {"temperature": 1}}, False, "pools and namespaces only"),
        ({"changes": {"temperature": 1}, "asked": "pool=lab"}, True, "the first answer is stored"),
        ({"enabled": False}, False, "cache.enabled"),
        ({"classes": ("pinned",)}, False, "do not cache exact answers (cache.classes)"),
        ({"scope": CacheScope(("pinned",))}, False, "this key may not cache exact answers"),
        ({"asked": "no-store"}, False, "no-store"),
        ({"purge_state": None}, False, "unreachable"),
        ({"asked": "namespace=live"}, True, "stored in the namespace, and does not expire"),
        ({"scope": CacheScope(namespace="live")}, True, "stored in the namespace, and does not expire"),
        ({"asked": "namespace=done"}, False, "frozen"),
        ({"asked": "sample=2", "scope": CacheScope(namespace="live")}, True, "stored in the namespace"),
        ({"asked": "namespace=live, no-store"}, False, "no-store"),
        ({"asked": "namespace=live", "enabled": False}, True, "namespace"),
    ],
)
def test_an_explanation_says_whether_an_answer_is_stored_and_why(how: dict[str, Any], stored: bool, why: str) -> None:
    about = explained(how.pop("changes", None), **how)
    assert about["stored"] is stored
    assert why in about["why"]


def test_every_reason_for_a_bypass_has_a_sentence() -> None:
    assert set(WHY_NOT_STORED) == set(BYPASS_REASONS)


@pytest.mark.parametrize(
    "asked, scope, slug",
    [
        ("namespace=other", None, "unknown-namespace"),
        ("namespace=done, no-cache", None, "namespace-frozen"),
        ("no-store", CacheScope(directives=("max-age",)), "cache-control-refused"),
        ("pool=", None, "cache-control-invalid"),
    ],
)
def test_what_would_be_refused_of_a_cache_control_is_refused(asked: str, scope: CacheScope | None, slug: str) -> None:
    with pytest.raises(Problem) as refused:
        explained(asked=asked, scope=scope)
    assert refused.value.type.slug == slug


def test_a_key_shares_with_no_more_than_its_scope_says() -> None:
    assert explained()["shared_with"] == "organisation"
    assert explained(scope=CacheScope(share="user"))["shared_with"] == "user"
    assert explained(share="team", scope=CacheScope(share="organisation"))["shared_with"] == "team"


def test_every_rule_is_listed_and_those_in_force_are_marked() -> None:
    for canonical in (RuleSet(), RuleSet(frozenset({"spare_steps"})), rule_set("sampler", {})):
        rows = explained(canonical=canonical)["rules"]
        assert [row["name"] for row in rows] == [rule.name for rule in RULES]
        in_force = {row["name"] for row in rows if row["in_force"]}
        assert in_force == canonical.names | {rule.name for rule in RULES if rule.level == "wire"}


@pytest.mark.parametrize("name", [rule.name for rule in SAMPLER])
def test_a_rule_changes_a_call_where_it_and_only_it_makes_another_digest(name: str) -> None:
    body = {"num_steps": 6, "invalid_ids": [2, 7], "inputs": {"sequence": [0, 32, 5, 32, 32, 2], "sasa": [0] * 6}}
    alone = explained(body, canonical=RuleSet(frozenset({name})))
    row = next(row for row in alone["rules"] if row["name"] == name)
    off = next(row for row in explained(body)["rules"] if row["name"] == name)
    assert row["changes"] == off["changes"] == (alone["canonical"] != explained(body)["canonical"])


def test_calls_that_share_have_one_canonical_form_and_one_digest_to_share_by() -> None:
    loose, tight = ({"num_steps": steps} for steps in (6, 3))
    for canonical, same in ((RuleSet(), False), (RuleSet(frozenset({"spare_steps"})), True)):
        one, other = explained(loose, canonical=canonical), explained(tight, canonical=canonical)
        assert one["call_sha256"] != other["call_sha256"]
        assert (one["shared_sha256"] == other["shared_sha256"]) is same
        assert (one["canonical"] == other["canonical"]) is same
    recorded = explained(loose, canonical=RuleSet(frozenset({"spare_steps"})), asked="namespace=live")
    assert recorded["shared_sha256"] == recorded["call_sha256"]


def test_coordinates_are_told_by_the_digest_of_their_float32_bytes() -> None:
    inputs = {"sequence": [0, 32, 2], "coordinates": [[[0.0, 0.0, 0.0]] * 3] * 3}
    told = explained({"inputs": inputs})["canonical"]["inputs"]["coordinates"]
    assert told == {"shape": [3, 3, 3], "float32_sha256": sha256(bytes(4 * 27)).hexdigest()}
    assert explained({"inputs": inputs}, in_full=True)["canonical"]["inputs"]["coordinates"] == inputs["coordinates"]


def test_an_endpoint_that_is_not_modelled_is_explained_as_far_as_it_goes() -> None:
    about = explained({"model": MODEL, "inputs": {"sequence": "MKT"}}, endpoint="encode")
    assert (about["class"], about["determinism"], about["stored"]) == ("unknown", [], False)
    assert about["units"] == 2 * about["tokens"]
    assert not any(row["changes"] for row in about["rules"])
    assert about["canonical"]["inputs"]["sequence"] == "MKT"
