"""Policy in front of the cache: what must be on record is so before the call goes on, and nothing secret is in it."""

from dataclasses import replace
from typing import Literal

import pytest

from gateway.core.problems import Problem
from gateway.core.types import Approval, Call, Principal
from gateway.flow.policy import PolicyEnforcer
from gateway.flow.runtime import BackgroundTasks
from tests.flow.harness import Parts, a_call, a_principal
from tests.policies.built import built

GRANT = Approval("g1", "ada", ("bea", "carl"), "toxin panel", 0.0, 4e9)
APPROVED = a_principal(approvals=(GRANT,))


def check(parts: Parts, call: Call, who: Principal, mode: Literal["enforce", "observe"] | None = None) -> str:
    """The word `on` where the call may go on, else the problem's slug."""
    enforcer = PolicyEnforcer(parts.audit, built(concern=mode or "enforce"), parts.runtime())
    outcome = ["on"]

    async def act(tasks: BackgroundTasks) -> None:
        try:
            await enforcer.check(call, who, "r1")
        except Problem as problem:
            outcome[0] = f"{problem.type.status} {problem.type.slug}"

    parts.play(act)
    return outcome[0]


def test_a_call_that_declares_nothing_is_no_matter_for_the_record() -> None:
    parts = Parts()
    assert check(parts, a_call(), APPROVED) == "on"
    assert parts.effects() == []


def test_an_approved_declaration_is_on_record_with_its_approval() -> None:
    parts = Parts()
    call = replace(a_call(flagged=True), body=b'{"sequence":"MKTAYIAK"}')
    assert check(parts, call, APPROVED) == "on"
    event = parts.audit.events[0]
    assert event.kind == "policy_permitted"
    assert (event.facts["details"]["approval"], event.facts["user"], event.facts["request"]) == ("g1", "ada", "r1")
    assert event.facts["call"] == call.canonical_digest.hex()
    assert b"MKTAYIAK" not in parts.audit.lines[0]


@pytest.mark.parametrize("mode", [None, "enforce"])
def test_an_unapproved_declaration_is_refused_and_on_record_also_where_no_mode_is_set(
    mode: Literal["enforce"] | None,
) -> None:
    parts = Parts()
    assert check(parts, a_call(flagged=True), a_principal(), mode) == "403 concern-refused"
    assert [event.kind for event in parts.audit.events] == ["policy_refused"]
    assert parts.meter.counts[("esmgw_policy_decisions_total", "concern", "enforce", "refused")] == 1


def test_observing_lets_the_call_go_on_and_puts_the_refusal_on_record() -> None:
    parts = Parts()
    assert check(parts, a_call(flagged=True), a_principal(), "observe") == "on"
    assert [(event.kind, event.facts["mode"]) for event in parts.audit.events] == [("policy_refused", "observe")]


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize("who", [APPROVED, a_principal()])
def test_without_the_record_no_declared_call_goes_on_in_any_mode(
    mode: Literal["enforce", "observe"], who: Principal
) -> None:
    parts = Parts()
    parts.audit.lost.add("*")
    assert check(parts, a_call(flagged=True), who, mode) == "503 audit-unavailable"
    assert parts.meter.counts[("esmgw_audit_failures_total",)] == 1


def test_a_model_that_the_key_may_not_use_is_refused_before_anything_is_recorded() -> None:
    parts = Parts()
    who = a_principal(models=("other",), approvals=(GRANT,))
    assert check(parts, a_call(flagged=True), who) == "403 model-refused"
    assert parts.effects() == []


def test_an_answer_that_could_not_be_recorded_is_counted_and_does_not_fail_the_answer() -> None:
    parts = Parts()
    enforcer = PolicyEnforcer(parts.audit, built(), parts.runtime())
    parts.audit.lost.add("*")

    async def act(tasks: BackgroundTasks) -> None:
        await enforcer.record_outcome(a_call(flagged=True), APPROVED, "r1", "miss")

    parts.play(act)
    assert parts.meter.counts[("esmgw_audit_failures_total",)] == 1
