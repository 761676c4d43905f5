"""A template filled with a call's inputs is the answer that this call expects."""

import json
from typing import Any

import numpy as np
import orjson
import pytest

from gateway.core import echo_template
from gateway.core.endpoint import ParseConfig
from gateway.core.rules import rule_set
from gateway.core.tracks import GENERATED, INPUTS
from gateway.core.types import Answer, Call, DeterminismClass
from gateway.sandbox.answers import Asked, generate_tensor
from tests.endpoints.examples import ESM3, TOKENS, WIRE, Json, call, generation

NAME = "generate_tensor"
SAMPLER = ParseConfig(models={ESM3: 1.0}, rule_set=rule_set("sampler", {}))


def asked(track: str = "sasa", **changes: Any) -> Call:
    made = {"inputs": {**TOKENS}, "temperature": 0, "strategy": "entropy", **changes}
    return call(NAME, generation(track, **made), rules=SAMPLER)


def answered(made: Call) -> bytes:
    """What the sandbox upstream answers to this call, as it writes it."""
    done = generate_tensor(Asked(json.loads(made.body), {}))
    return orjson.dumps(done.answer, option=orjson.OPT_SERIALIZE_NUMPY)


def stripped(made: Call, body: bytes) -> bytes:
    template = echo_template.strip_echo(made, body)
    assert template is not None
    return template


def changed(body: bytes, name: str, value: Any) -> bytes:
    tree = json.loads(body)
    tree["outputs"][name] = value
    return json.dumps(tree).encode()


@pytest.mark.parametrize("track", GENERATED)
@pytest.mark.parametrize("absent", [(), INPUTS[:4], INPUTS[4:], INPUTS[1:]])
def test_an_answer_of_the_sandbox_comes_back_byte_for_byte(track: str, absent: tuple[str, ...]) -> None:
    made = asked(track, inputs={**TOKENS, **dict.fromkeys(name for name in absent if name != track)})
    body = answered(made)
    assert echo_template.fill(made, stripped(made, body)) == body


@pytest.mark.parametrize("track", GENERATED)
def test_a_template_contains_nothing_of_the_inputs_but_the_generated_track(track: str) -> None:
    made = asked(track)
    outputs = json.loads(stripped(made, answered(made)))["outputs"]
    assert {name for name, value in outputs.items() if value is not None} == {track, "residue_annotation"}
    assert outputs["residue_annotation"] == 16


def test_each_caller_gets_their_own_inputs_in_one_template() -> None:
    full = [[[*atom] for atom in residue] for residue in TOKENS["coordinates"]]
    for residue in full[1:-1]:
        residue[5] = [9.0, 9.0, 9.0]
    one, other = asked(), asked(inputs={**TOKENS, "coordinates": full, "structure": None})
    assert one.sharing_digest == other.sharing_digest
    assert one.canonical_digest != other.canonical_digest
    body = answered(one)
    theirs = json.loads(echo_template.fill(other, stripped(one, body)))["outputs"]
    assert theirs == {**json.loads(other.body)["inputs"], "sasa": json.loads(body)["outputs"]["sasa"]}
    assert theirs["structure"] is None


def test_without_annotations_a_caller_gets_the_zeros_or_the_null_of_that_upstream() -> None:
    none = asked(inputs={**TOKENS, "residue_annotation": None})
    zeros = asked(inputs={**TOKENS, "residue_annotation": [[0]] * 8})
    assert none.sharing_digest == zeros.sharing_digest
    body = answered(none)
    expected = json.loads(body)["outputs"]
    assert expected["residue_annotation"] == [[0] * 16] * 8
    for first in (none, zeros):
        for caller in (none, zeros):
            assert json.loads(echo_template.fill(caller, stripped(first, body)))["outputs"] == expected
    null = changed(body, "residue_annotation", None)
    assert json.loads(echo_template.fill(none, stripped(none, null))) == json.loads(null)
    assert (
        json.loads(echo_template.fill(zeros, stripped(none, null)))["outputs"]["residue_annotation"] == [[0] * 16] * 8
    )


def test_coordinates_are_an_echo_in_any_spelling_of_their_float32() -> None:
    odd = [[[None if n is None else n + 0.1 for n in atom] for atom in residue] for residue in TOKENS["coordinates"]]
    made = asked(inputs={**TOKENS, "coordinates": odd})
    body = answered(made)
    short = [[[None if n is None else float(str(np.float32(n))) for n in atom] for atom in residue] for residue in odd]
    assert short != json.loads(made.body)["inputs"]["coordinates"]
    assert echo_template.fill(made, stripped(made, changed(body, "coordinates", short))) == body


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "sasa"])
def test_an_echo_of_anything_but_what_was_sent_has_no_template(name: str) -> None:
    made = asked()
    body = answered(made)
    other = json.loads(body)["outputs"][name]
    other[3] = other[4] if other[3] != other[4] else other[1]
    odds: list[Any] = [other, other[:-1], None, "7", 7, []]
    for odd in odds:
        assert echo_template.strip_echo(made, changed(body, name, odd)) is None
    without = json.loads(body)
    del without["outputs"][name]
    assert echo_template.strip_echo(made, json.dumps(without).encode()) is None


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "sasa"])
def test_tokens_for_a_track_that_was_not_sent_have_no_template(name: str) -> None:
    made = asked(inputs={**TOKENS, name: None})
    body = answered(made)
    assert echo_template.strip_echo(made, changed(body, name, TOKENS[name])) is None
    assert echo_template.strip_echo(made, body) is not None


@pytest.mark.parametrize("rows", [[[0] * 16] * 7, [[0] * 16] * 7 + [[0] * 15], [0] * 8, [[0] * 16] * 7 + [[1] * 16]])
def test_only_even_rows_of_zeros_stand_for_absent_annotations(rows: Any) -> None:
    made = asked(inputs={**TOKENS, "residue_annotation": None})
    assert echo_template.strip_echo(made, changed(answered(made), "residue_annotation", rows)) is None


def test_an_upstream_that_leaves_out_what_is_absent_is_understood() -> None:
    none, zeros = (asked(inputs={**TOKENS, "residue_annotation": rows}) for rows in (None, [[0]] * 8))
    tree = json.loads(answered(none))
    del tree["outputs"]["residue_annotation"]
    template = stripped(none, orjson.dumps(tree))
    assert echo_template.fill(none, template) == orjson.dumps(tree)
    assert json.loads(echo_template.fill(zeros, template))["outputs"]["residue_annotation"] == [[0] * 16] * 8


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"7", b'{"outputs":7}', b'{"data":[]}', b'{"outputs":{"sasa":null}}']
)
def test_what_is_not_an_answer_has_no_template(body: bytes) -> None:
    assert echo_template.strip_echo(asked(), body) is None


def test_an_answer_without_the_generated_track_has_no_template() -> None:
    made = asked()
    assert echo_template.strip_echo(made, changed(answered(made), "sasa", None)) is None


def test_other_members_and_the_wrapping_of_old_front_ends_stay() -> None:
    made = asked()
    tree = {"data": {**json.loads(answered(made)), "more": [1.5, 2e300]}, "warning_messages": ["careful"]}
    body = orjson.dumps(tree)
    assert echo_template.fill(made, stripped(made, body)) == body


def test_at_level_wire_an_answer_is_shared_as_it_is() -> None:
    made = call(NAME, generation("sasa"))
    answer = Answer(answered(made), 1.0, DeterminismClass.EXACT)
    assert echo_template.shareable(made, answer) is answer
    assert echo_template.for_call(made, answer) is answer
    assert echo_template.fits(made, answer)


def test_a_shared_template_becomes_each_calls_own_answer_again() -> None:
    one, other = asked(), asked(inputs={**TOKENS, "structure": None})
    answer = Answer(answered(one), 1.0, DeterminismClass.EXACT, compressed=b"zstd")
    shared = echo_template.shareable(one, answer)
    assert shared.is_template
    assert shared.compressed is None
    assert echo_template.shareable(one, shared) is shared
    assert echo_template.fits(other, shared)
    assert echo_template.for_call(one, shared) == Answer(answer.body, 1.0, DeterminismClass.EXACT)
    assert json.loads(echo_template.for_call(other, shared).body)["outputs"]["structure"] is None


def test_an_answer_without_a_template_fits_calls_with_the_same_inputs_alone() -> None:
    one, other = asked(), asked(inputs={**TOKENS, "structure": None})
    answer = Answer(changed(answered(one), "sequence", "7"), 1.0, DeterminismClass.EXACT)
    shared = echo_template.shareable(one, answer)
    assert shared.body == answer.body
    assert (echo_template.fits(one, shared), echo_template.fits(other, shared)) == (True, False)
    assert echo_template.for_call(one, shared) is shared


def recorded() -> list[tuple[str, Json, Json]]:
    """(case, request, answer) of the real SDK's recordings of generate_tensor that were answered."""
    found = []
    for path in sorted(WIRE.glob("3*_generate_tensor_*.json")):
        for exchange in json.loads(path.read_text())["exchanges"]:
            if exchange["response"]["status"] == 200:
                found.append((path.stem, exchange["request"]["body"], exchange["response"]["body"]))
    return found


@pytest.mark.parametrize(("case", "request_body", "answer"), recorded())
def test_recorded_answers_come_back_equal(case: str, request_body: Json, answer: Json) -> None:
    if case.endswith("_function"):
        request_body = {**request_body, "temperature_annealing": True}
    made = call(NAME, request_body, rules=SAMPLER)
    body = orjson.dumps(answer)
    assert echo_template.fill(made, stripped(made, body)) == body


def test_recordings_of_both_versions_are_there() -> None:
    assert {case[:3] for case, _, _ in recorded()} == {"321", "341"}
