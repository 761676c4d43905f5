"""What the programs take for one call or for two is so, and their checks notice an answer that is wrong."""

import json
import random
from collections.abc import Sequence
from itertools import islice
from typing import Any

import orjson
import pytest

from bench.marked import Questions
from bench.notebook import Body, Question, questions
from bench.spellings import DEFAULTS, PEOPLE, spelled
from bench.truth import Judge, digest, fault_of
from bench.workload import Workload
from gateway.sandbox.bodies import Generate, lenient
from gateway.sandbox.sampler import repeats, sample


@pytest.fixture(scope="module")
def asked() -> Sequence[Question]:
    return list(islice(questions(seed=7), 120))


def meaning(text: bytes) -> dict[str, Any]:
    """What was written, read by Python's own JSON: null is absent, what is absent is the default."""
    body: dict[str, Any] = json.loads(text)
    inputs = {name: track for name, track in body["inputs"].items() if track is not None}
    return {**DEFAULTS, **{name: value for name, value in body.items() if value is not None}, "inputs": inputs}


def test_every_spelling_means_the_same_and_no_two_questions_do(asked: Sequence[Question]) -> None:
    chance = random.Random(1)
    owners: dict[Any, tuple[int, int]] = {}
    for number, question in enumerate(asked):
        for variant, body in enumerate(question.variants):
            told = {digest(lenient(meaning(spelled(body, person, chance)))) for person in PEOPLE for _ in range(2)}
            assert told == {digest(body)}
            assert owners.setdefault(told.pop(), (number, variant)) == (number, variant)


def test_people_write_differently_and_the_same_tool_writes_the_same(asked: Sequence[Question]) -> None:
    body, chance = asked[0].variants[0], random.Random(1)
    assert len({spelled(body, person, chance) for person in PEOPLE}) == len(PEOPLE)
    assert spelled(body, PEOPLE[0], chance) == spelled(body, PEOPLE[0], chance)


def drawn(body: Body) -> list[Any]:
    request = Generate.model_validate(lenient(body))
    assert repeats(request, *_steps(request))
    return sample(request).tokens


def _steps(request: Generate) -> tuple[Any, int]:
    sampled = sample(request)
    return sampled.track, sampled.steps


def test_the_stand_in_answers_the_variants_of_an_exact_question_alike(asked: Sequence[Question]) -> None:
    """It reads coordinates as they are spelled, so those questions are left to the real sampler."""
    kinds = ("fill", "banned", "annotate", "scaffold")
    for question in (one for one in asked if one.kind in kinds):
        assert len({orjson.dumps(drawn(body)) for body in question.variants}) == 1, question.kind


def test_a_workload_knows_how_much_of_it_is_distinct() -> None:
    workload = Workload(300, seed=3)
    assert len(workload.calls) == 300
    assert 60 > workload.distinct("sampler") > 40
    assert workload.texts() > workload.distinct("wire") > workload.distinct("sampler")
    assert workload.distinct("wire") == len({digest(workload.body(one)) for one in workload.calls}) - len(
        {digest(workload.body(one)) for one in workload.calls if workload.cls(one, "wire") is None}
    )


def answered(body: Body, **changes: Any) -> dict[str, Any]:
    outputs = {**body["inputs"], body["track"]: sample(Generate.model_validate(lenient(body))).tokens}
    return {"outputs": outputs, "question": digest(body), **changes}


@pytest.fixture
def body() -> Body:
    return Questions("http://x", ["key"], hot=2, new_share=0.0, seed=1).hot[1].body


def test_an_answer_to_another_question_is_noticed(body: Body) -> None:
    assert fault_of(body, answered(body), [digest(body)]) is None
    other = {**body, "top_p": 0.9}
    assert fault_of(body, answered(other), [digest(body)]) == "it answers another question"


@pytest.mark.parametrize(
    ("outputs", "fault"),
    [
        ({"sasa": [0] * 62}, "its sasa is not the asker's"),
        ({"residue_annotation": [[0] * 16] * 61 + [[9] * 16]}, "its residue_annotation is not the asker's"),
        ({"coordinates": [[[0.0] * 3] * 37] * 62}, "its coordinates is not the asker's"),
        ({"sequence": [0, *[5] * 60, 2]}, "what was not masked has changed, or a mask is left"),
        ({"sequence": [0, 5, 2]}, "what was not masked has changed, or a mask is left"),
    ],
)
def test_an_answer_with_somebody_elses_tracks_is_noticed(body: Body, outputs: dict[str, Any], fault: str) -> None:
    answer = answered(body)
    answer["outputs"] |= outputs
    assert fault_of(body, answer, [digest(body)]) == fault


def test_zeros_for_absent_annotations_are_no_fault(body: Body) -> None:
    answer = answered(body)
    answer["outputs"]["residue_annotation"] = [[0] * 16] * 62
    assert fault_of(body, answer, [digest(body)]) is None


def test_an_answer_that_differs_from_the_first_one_and_an_old_draw_are_counted(body: Body) -> None:
    one, two = answered(body), answered(body)
    masked = next(i for i, token in enumerate(body["inputs"]["sequence"]) if token == 32)
    two["outputs"]["sequence"] = list(two["outputs"]["sequence"])
    two["outputs"]["sequence"][masked] = 4 + (two["outputs"]["sequence"][masked] - 3) % 20
    judge = Judge()
    for answer in (one, two, one):
        judge.judge(body, "class", [digest(body)], 200, orjson.dumps(answer))
        judge.judge(body, None, [digest(body)], 200, orjson.dumps(answer))
    assert (judge.answered, judge.differing, judge.draws_repeated, judge.wrong) == (6, 1, 1, {})
    judge.judge(body, "class", [digest(body)], 503, b"{}")
    judge.judge(body, "class", [0], 200, orjson.dumps(one))
    assert (judge.refused, judge.wrong) == ({"503": 1}, {"it answers another question": 1})
