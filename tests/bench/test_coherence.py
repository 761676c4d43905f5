"""The model of what may be served sees each kind of fault; a few interleavings on real stores have none."""

import asyncio

import pytest

from bench.coherence import played
from bench.coherence_model import Model, Purged, Question

SHARED, OTHER = Question("shared", "small"), Question("other", "large")
NAMED = Question("named", "small", "paper")
QUESTIONS = {question.name: question for question in (SHARED, OTHER, NAMED)}


def a_model() -> Model:
    """Answer 1 was sent at 10 and stored at 11; answer 2 was sent at 20, stored at 21, and replaced it."""
    model = Model(QUESTIONS, {1: 10.0, 2: 20.0}, {1: 10.5, 2: 20.5})
    for question in QUESTIONS:
        model.stands(question).put(11.0, 1, beside=False)
    return model


def fault(model: Model, question: Question, serial: int | None = 1, asked: float = 40.0, user: str = "ada") -> str:
    return model.fault(model.looked[0], user, question.name, asked, serial) or ""


@pytest.mark.parametrize("looked, asked, seen", [(30.0, 40.0, True), (20.0, 40.0, False)])
def test_an_answer_that_was_replaced_is_a_fault_for_who_has_heard_of_it(
    looked: float, asked: float, seen: bool
) -> None:
    model = a_model()
    model.stands("shared").put(21.0, 2, beside=False)
    model.looked[0] = looked
    assert ("replaced" in fault(model, SHARED, asked=asked)) == seen
    assert fault(model, SHARED, 2, asked) == ""
    model.stands("shared").put_back()
    assert fault(model, SHARED, asked=asked) == ""


@pytest.mark.parametrize(
    "purged, gone",
    [
        (Purged(12.0, 13.0), {"shared", "other"}),
        (Purged(12.0, 13.0, model="large"), {"other"}),
        (Purged(12.0, 13.0, namespace="paper"), {"named"}),
        (Purged(12.0, 13.0, question="named"), {"named"}),
        (Purged(12.0, 13.0, question="shared"), {"shared"}),
        (Purged(12.0, 13.0, older_than_s=1.0), {"shared", "other"}),
        (Purged(12.0, 13.0, older_than_s=3.0), set()),
        (Purged(9.0, 9.5), set()),
        (Purged(12.0, 35.0), set()),
    ],
)
def test_an_answer_that_was_purged_is_a_fault_and_no_other_is(purged: Purged, gone: set[str]) -> None:
    model = a_model()
    model.purges.append(purged)
    model.looked[0] = 30.0
    assert {name for name, question in QUESTIONS.items() if "purged" in fault(model, question)} == gone


def test_a_revoked_key_is_a_fault_for_who_has_heard_of_it_and_a_good_one_that_is_refused() -> None:
    model = a_model()
    model.looked[0] = 30.0
    assert "refused" in fault(model, SHARED, None)
    model.revoked["ada"] = 20.0
    assert fault(model, SHARED, None) == ""
    assert "revoked" in fault(model, SHARED)
    model.looked[0] = 15.0
    assert fault(model, SHARED) == ""


def test_random_interleavings_on_real_stores_serve_nothing_that_the_model_forbids() -> None:
    told: list[str] = []
    faults, done = asyncio.run(played(12, 1, 60, told.append))
    assert faults == [], "\n".join(told)
    assert done.keys() >= {"purge", "refresh", "revoke", "restart", "kill", "put back", "land"}
