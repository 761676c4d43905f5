"""Decisions that narrow: a set that only grows, whatever is joined with what, and gaps that are seen."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decisions import Acceptance, FinalDecision, Marks, from_audit, of_approval, of_key, of_namespace

SUBJECTS = [of_key("k1"), of_key("k2"), of_approval("ada", "g1"), of_namespace("paper", 5.0)]
DECISIONS = st.builds(FinalDecision, st.sampled_from(SUBJECTS), st.floats(1, 9), st.integers(0, 6))
MARKS = st.builds(
    lambda decisions, keys, confirmed: Marks(keys=keys, confirmed=confirmed).with_decisions(decisions),
    st.lists(DECISIONS, max_size=5),
    st.integers(0, 3),
    st.floats(0, 9),
)


@given(MARKS, MARKS)
def test_joined_with_whatever_no_decision_is_lost_and_none_becomes_later(one: Marks, two: Marks) -> None:
    joined = one.join(two)
    assert joined.decisions == two.join(one).decisions
    assert joined.decisions.keys() == one.decisions.keys() | two.decisions.keys()
    assert joined.join(one) == joined == joined.join(two)
    for subject, decision in one.decisions.items():
        assert joined.decisions[subject].at <= decision.at
    assert joined.number == max(one.number, two.number)


def test_a_namespace_of_the_same_name_made_later_is_another() -> None:
    assert of_namespace("paper", 5.0) == of_namespace("paper", 5) != of_namespace("paper", 6.0)


@pytest.mark.parametrize(
    ("numbers", "highest", "gaps"),
    [((1, 2, 3), 3, ()), ((1, 3), 3, (2,)), ((), 2, (1, 2)), ((1, 2, 2), 2, ()), ((0, 0), 0, ()), ((1, 2), 4, (3, 4))],
)
def test_a_number_that_no_decision_has_is_a_gap(numbers: tuple[int, ...], highest: int, gaps: tuple[int, ...]) -> None:
    known = [FinalDecision(of_key(f"k{at}"), 1.0, number) for at, number in enumerate(numbers)]
    assert Marks(number=highest).with_decisions(known).gaps() == gaps


def test_what_was_accepted_is_no_gap_and_what_came_after_is() -> None:
    marks = Marks(number=3, keys=2, confirmed=10.0).accept(Acceptance(11.0, 3, 2))
    assert (marks.gaps(), marks.keys) == ((), 0)
    assert Marks(number=4, keys=2, confirmed=10.0).accept(Acceptance(11.0, 3, 2)).gaps() == (4,)


@pytest.mark.parametrize("acceptance", [Acceptance(9.0, 3, 2), Acceptance(10.0, 3, 2), Acceptance(11.0, 3, 1)])
def test_an_acceptance_from_before_or_of_less_opens_no_empty_store(acceptance: Acceptance) -> None:
    assert Marks(number=3, keys=2, confirmed=10.0).accept(acceptance).keys == 2


def record(kind: str, at: float, **facts: Any) -> Mapping[str, Any]:
    return {"kind": kind, "at": at, "facts": facts}


def test_the_audit_record_tells_what_was_decided_and_that_there_were_keys() -> None:
    marks = from_audit(
        [
            record("key_created", 1.0, key="k1"),
            record("key_created", 2.0, key="k2"),
            record("key_revoked", 3.0, key="k1", user="ada"),
            record("approval_revoked", 4.0, user="ada", approval="g1", number=2),
            record("namespace_frozen", 5.0, namespace="old"),
            record("namespace_frozen", 6.0, namespace="paper", created=5.0, number=4),
        ]
    )
    assert marks.decisions == {
        of_key("k1"): FinalDecision(of_key("k1"), 3.0, 0),
        of_approval("ada", "g1"): FinalDecision(of_approval("ada", "g1"), 4.0, 2),
        of_namespace("paper", 5.0): FinalDecision(of_namespace("paper", 5.0), 6.0, 4),
    }
    assert (marks.number, marks.keys, marks.gaps()) == (4, 2, (1, 3))


def test_what_was_accepted_on_record_is_not_held_against_the_store_again() -> None:
    events = [record("key_created", 1.0, key="k1"), record("key_revoked", 3.0, key="k1", user="ada", number=3)]
    accepted = record("state_accepted", 4.0, number=3, keys=1)
    assert from_audit([*events, accepted]).keys == 0
    assert from_audit([*events, accepted]).gaps() == ()
    assert from_audit([*events, accepted, record("key_created", 5.0, key="k2")]).keys == 1
