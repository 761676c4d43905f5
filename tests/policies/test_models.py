"""Which models a virtual key may use."""

from dataclasses import replace

import pytest

from gateway.core.policies.models import decide
from gateway.core.problems import MODEL_REFUSED
from gateway.core.types import Approval, KeyRecord, Principal
from tests.flow.harness import a_call

KEY = KeyRecord("k1", "digest", "ada", "red", 0.0)
CALL = replace(a_call(), model="small")
APPROVAL = Approval("g1", "ada", ("bob", "cyd"), "a study", created=0.0, expires=2000.0)


@pytest.mark.parametrize("models", [None, ("small",), ("large", "small")])
def test_a_key_for_this_model_or_for_all_is_not_concerned(models: tuple[str, ...] | None) -> None:
    assert decide(CALL, Principal(replace(KEY, models=models)), 1000.0) is None


@pytest.mark.parametrize("models", [("large",), (), ("smaller",), ("Small",)])
def test_a_key_for_other_models_is_refused_and_told_which(models: tuple[str, ...]) -> None:
    decision = decide(CALL, Principal(replace(KEY, models=models)), 1000.0)
    assert decision is not None
    assert (decision.permitted, decision.problem_type) == (False, MODEL_REFUSED)
    assert decision.reason == "this key may use: " + ", ".join(models)


def test_an_approval_does_not_widen_the_models_of_a_key() -> None:
    who = Principal(replace(KEY, models=("large",)), (APPROVAL,))
    decision = decide(replace(CALL, flagged=True), who, 1000.0)
    assert decision is not None
    assert not decision.permitted
