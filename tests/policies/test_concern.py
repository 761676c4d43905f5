"""Declared sequences of concern: who may send them."""

from dataclasses import replace
from itertools import combinations

import pytest

from gateway.core.policies.concern import decide
from gateway.core.policy import Decision
from gateway.core.problems import CONCERN_REFUSED
from gateway.core.types import Approval, Call, Determinism, DeterminismClass, KeyRecord, Principal
from tests.policies.built import built

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
APPROVAL = Approval("g1", "ada", ("bob", "cyd"), "a study", created=0.0, expires=2000.0)

UNFIT = {
    "revoked": replace(APPROVAL, revoked=500.0),
    "revoked at this moment": replace(APPROVAL, revoked=NOW),
    "expired": replace(APPROVAL, expires=999.9),
    "expiring at this moment": replace(APPROVAL, expires=NOW),
    "nobody": replace(APPROVAL, approved_by=()),
    "one approver": replace(APPROVAL, approved_by=("bob",)),
    "one approver twice": replace(APPROVAL, approved_by=("bob", "bob")),
    "another model": replace(APPROVAL, models=("large",)),
    "no model": replace(APPROVAL, models=()),
    "part of the model's name": replace(APPROVAL, models=("smaller", "small-2")),
}


def concern(call: Call, *approvals: Approval) -> Decision:
    decision = decide(call, Principal(KEY, approvals), NOW)
    assert decision is not None
    return decision


def test_a_call_that_declares_nothing_is_not_concerned() -> None:
    assert decide(CALL, Principal(KEY), NOW) is None
    assert decide(CALL, Principal(KEY, (APPROVAL,)), NOW) is None


def test_a_declared_call_without_a_approval_is_refused_on_record_and_told_what_to_do() -> None:
    decision = concern(FLAGGED)
    assert (decision.permitted, decision.problem_type, decision.facts) == (False, CONCERN_REFUSED, {})
    assert "approval" in decision.reason


@pytest.mark.parametrize("models", [None, ("small",), ("large", "small")])
def test_a_approval_in_force_permits_on_record_and_names_itself(models: tuple[str, ...] | None) -> None:
    decision = concern(FLAGGED, replace(APPROVAL, models=models))
    assert (decision.permitted, decision.facts) == (True, {"approval": "g1"})


@pytest.mark.parametrize("unfit", UNFIT)
def test_a_approval_that_is_not_in_force_permits_nothing(unfit: str) -> None:
    assert not concern(FLAGGED, UNFIT[unfit]).permitted


def test_approvals_that_fail_for_different_reasons_do_not_make_one_that_holds() -> None:
    assert not any(concern(FLAGGED, *pair).permitted for pair in combinations(UNFIT.values(), 2))


def test_one_good_approval_among_many_bad_ones_is_found_and_named() -> None:
    decision = concern(FLAGGED, *UNFIT.values(), replace(APPROVAL, approval_id="good"))
    assert (decision.permitted, decision.facts) == (True, {"approval": "good"})


def test_a_approval_holds_until_the_very_moment_it_expires() -> None:
    assert concern(FLAGGED, replace(APPROVAL, expires=NOW + 0.001)).permitted


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_its_mode_is_its_setting_and_its_decisions_are_audited(mode: str) -> None:
    (policy,) = [policy for policy in built(concern=mode) if policy.name == "concern"]
    assert (policy.mode, policy.audited) == (mode, True)
