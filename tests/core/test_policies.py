"""Who may send what: models of a key, and declared sequences of concern."""

from dataclasses import replace
from itertools import combinations

import pytest

from gateway.core.policies import policies
from gateway.core.policy import Decision
from gateway.core.problems import CONCERN_REFUSED, MODEL_REFUSED
from gateway.core.types import Approval, Call, Determinism, DeterminismClass, KeyRecord, Principal

NOW = 1000.0
CALL = Call(
    "generate",
    "/api/v1/generate",
    "small",
    False,
    b"{}",
    b"c" * 32,
    7,
    7,
    Determinism(DeterminismClass.EXACT, "one step"),
)
FLAGGED = replace(CALL, flagged=True)
KEY = KeyRecord("k1", "digest", "ada", "red", 0.0)
POLICIES = policies({"concern": "enforce"})
GRANT = Approval("g1", "ada", ("bob", "cyd"), "a study", created=0.0, expires=2000.0)

UNFIT = {
    "revoked": replace(GRANT, revoked=500.0),
    "revoked at this moment": replace(GRANT, revoked=NOW),
    "expired": replace(GRANT, expires=999.9),
    "expiring at this moment": replace(GRANT, expires=NOW),
    "nobody": replace(GRANT, approved_by=()),
    "one approver": replace(GRANT, approved_by=("bob",)),
    "one approver twice": replace(GRANT, approved_by=("bob", "bob")),
    "another model": replace(GRANT, models=("large",)),
    "no model": replace(GRANT, models=()),
    "part of the model's name": replace(GRANT, models=("smaller", "small-2")),
}


def asked(
    call: Call, approvals: tuple[Approval, ...] = (), models: tuple[str, ...] | None = None
) -> dict[str, Decision]:
    """What each policy says, those left out that have no business with this call."""
    who = Principal(replace(KEY, models=models), approvals)
    said = {policy.name: policy.decide(call, who, NOW) for policy in POLICIES}
    return {name: decision for name, decision in said.items() if decision is not None}


def concern(call: Call, *approvals: Approval) -> Decision:
    return asked(call, approvals)["concern"]


def test_models_are_asked_before_anything_is_put_on_record() -> None:
    assert [(policy.name, policy.audited) for policy in POLICIES] == [("models", False), ("concern", True)]


def test_an_ordinary_call_with_an_ordinary_key_is_no_business_of_any_policy() -> None:
    assert asked(CALL) == {}
    assert asked(CALL, (GRANT,), ("large", "small")) == {}


@pytest.mark.parametrize("models", [("large",), (), ("smaller",), ("Small",)])
def test_a_key_for_other_models_is_refused_and_told_which(models: tuple[str, ...]) -> None:
    decision = asked(CALL, models=models)["models"]
    assert (decision.permitted, decision.problem_type) == (False, MODEL_REFUSED)
    assert decision.reason == "this key may use: " + ", ".join(models)


def test_a_grant_does_not_widen_the_models_of_a_key() -> None:
    assert not asked(FLAGGED, (GRANT,), ("large",))["models"].permitted


def test_a_declared_call_without_a_grant_is_refused_on_record_and_told_what_to_do() -> None:
    decision = concern(FLAGGED)
    assert (decision.permitted, decision.problem_type, decision.facts) == (False, CONCERN_REFUSED, {})
    assert "approval" in decision.reason


@pytest.mark.parametrize("models", [None, ("small",), ("large", "small")])
def test_a_grant_in_force_permits_on_record_and_names_itself(models: tuple[str, ...] | None) -> None:
    decision = concern(FLAGGED, replace(GRANT, models=models))
    assert (decision.permitted, decision.facts) == (True, {"approval": "g1"})


@pytest.mark.parametrize("unfit", UNFIT)
def test_a_grant_that_is_not_in_force_permits_nothing(unfit: str) -> None:
    assert not concern(FLAGGED, UNFIT[unfit]).permitted


def test_grants_that_fail_for_different_reasons_do_not_make_one_that_holds() -> None:
    assert not any(concern(FLAGGED, *pair).permitted for pair in combinations(UNFIT.values(), 2))


def test_one_good_grant_among_many_bad_ones_is_found_and_named() -> None:
    decision = concern(FLAGGED, *UNFIT.values(), replace(GRANT, approval_id="good"))
    assert (decision.permitted, decision.facts) == (True, {"approval": "good"})


def test_a_grant_holds_until_the_very_moment_it_expires() -> None:
    assert concern(FLAGGED, replace(GRANT, expires=NOW + 0.001)).permitted


def test_the_mode_of_a_policy_comes_from_its_settings_row() -> None:
    assert {policy.name: policy.mode for policy in policies({"concern": "observe"})} == {
        "models": "enforce",
        "concern": "observe",
    }
