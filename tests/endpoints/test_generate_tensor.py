"""generate_tensor: every parameter, every track, every refusal, and what a call costs."""

from typing import Any

import pytest

from gateway.core.endpoint import ParseConfig
from gateway.core.tracks import GENERATED, INPUTS, TRACKS
from gateway.core.types import DeterminismClass
from gateway.endpoints import generate_tensor
from tests.endpoints.examples import (
    ESM3,
    ESMC,
    FLAG,
    NULLS,
    RULES,
    TOKENS,
    Example,
    Json,
    call,
    errors,
    forwarded,
    generation,
    unlike,
    wire,
)

NAME = "generate_tensor"
LONG = [0, *[32] * 118, 2]  # 120 positions, 118 masks
EXAMPLE = Example(
    generation(),
    bills=(({}, 8, 3), ({"num_steps": 2}, 8, 2)),
    too_long=({"inputs": {"sequence": [32] * 9}}, "/inputs/sequence"),
    sdk=("321", "341"),
)
OLD = ParseConfig(models=RULES.models, defaults="2024-06-25")


def sequence(*tokens: int, **changes: Any) -> Json:
    return {"model": ESM3, "track": "sequence", "inputs": {"sequence": list(tokens)}, **changes}


# --- parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "num_steps", "temperature", "annealing"), [(RULES, 20, 0.5, True), (OLD, 8, 1.0, False)]
)
def test_every_default_is_spelled_out_from_the_dated_set(
    rules: ParseConfig, num_steps: int, temperature: float, annealing: bool
) -> None:
    body = forwarded(NAME, sequence(*LONG), rules=rules)
    inputs = body.pop("inputs")
    assert body == {
        "model": ESM3,
        "track": "sequence",
        FLAG: False,
        "invalid_ids": [],
        "schedule": "cosine",
        "strategy": "random",
        "num_steps": num_steps,
        "temperature": temperature,
        "temperature_annealing": annealing,
        "top_p": 1.0,
        "condition_on_coordinates_only": True,
    }
    assert set(inputs) == set(INPUTS)
    assert [name for name, track in inputs.items() if track is not None] == ["sequence"]


def test_the_settings_know_the_dated_sets_and_the_newest_is_theirs_by_default() -> None:
    assert set(generate_tensor.DEFAULTS) == {"2025-02-14", "2024-06-25"}
    assert ParseConfig(models={}).defaults == max(generate_tensor.DEFAULTS)


PARAMETERS: list[tuple[str, Any, Any]] = [
    (FLAG, (True, False), ("true", 1, 0, [], {})),
    ("invalid_ids", ([], [4], [-1, 64, 2**63 - 1, -(2**63)]), (5, "4", ["4"], [1.5], [True], [2**63], [[4]], {})),
    ("schedule", ("cosine", "linear"), ("Cosine", "", "square", 1, True)),
    ("strategy", ("random", "entropy"), ("Entropy", "", "greedy", 1, True)),
    ("num_steps", (1, 2, 20, 99, 100), (0, -1, 101, 2.5, "8", True, [8])),
    (
        "temperature",
        (0, 0.0, 1e-38, 0.5, 1, 1.8e19),
        (-1, -0.5, -1e-9, 1e-39, 5e-324, 1.9e19, 1e38, 1e300, "1", True, [1.0]),
    ),
    ("temperature_annealing", (True, False), ("true", 1, 0, [])),
    ("top_p", (1e-9, 0.5, 1, 1.0), (0, 0.0, -0.1, 1.0001, 2, "1", True, [])),
    ("condition_on_coordinates_only", (True, False), ("true", 1, 0, [])),
]


@pytest.mark.parametrize(("name", "good", "bad"), PARAMETERS, ids=[row[0] for row in PARAMETERS])
def test_a_parameter_is_forwarded_as_given_or_refused_by_name(name: str, good: Any, bad: Any) -> None:
    for value in good:
        got = forwarded(NAME, sequence(*LONG, **{name: value}))[name]
        assert got == (sorted(value) if name == "invalid_ids" else value)
    for value in bad:
        (where,) = errors(NAME, sequence(*LONG, **{name: value}))
        assert where.startswith(f"/{name}")


@pytest.mark.parametrize("name", [row[0] for row in PARAMETERS])
def test_null_is_the_default(name: str) -> None:
    assert unlike(forwarded(NAME, sequence(*LONG, **{name: None})), forwarded(NAME, sequence(*LONG))) == set()


def test_every_parameter_of_the_body_is_in_the_table_above() -> None:
    fields = set(generate_tensor.GenerateTensor.model_fields)
    assert fields - {row[0] for row in PARAMETERS} == {"model", "inputs", "track"}


@pytest.mark.parametrize("track", GENERATED)
def test_five_tracks_can_be_generated(track: str) -> None:
    assert forwarded(NAME, generation(track))["track"] == track


@pytest.mark.parametrize("track", ["coordinates", "residue_annotation", "residue_annotations", "Sequence", "", None, 1])
def test_no_other_track_can_be_generated(track: Any) -> None:
    assert errors(NAME, {**generation(), "track": track}) == ["/track"]


@pytest.mark.parametrize("member", ["model", "track", "inputs"])
def test_what_is_required_must_be_there(member: str) -> None:
    assert errors(NAME, {name: value for name, value in generation().items() if name != member}) == [f"/{member}"]
    assert errors(NAME, {**generation(), member: None}) == [f"/{member}"]


@pytest.mark.parametrize("member", ["num_step", "seed", "Temperature", "outputs", "token", "point"])
def test_an_unknown_member_is_refused_even_where_it_is_null(member: str) -> None:
    assert errors(NAME, {**generation(), member: 1}) == [f"/{member}"]
    assert errors(NAME, {**generation(), member: None}) == [f"/{member}"]


def test_only_models_of_the_settings_are_taken() -> None:
    assert call(NAME, {**generation(), "model": ESMC}).model == ESMC
    for model in ("esm3-sm-open-v1", "esm3-open", "", "ESM3-OPEN-2024-03"):
        assert errors(NAME, {**generation(), "model": model}) == ["/model"]


def test_the_flag_reaches_the_policy_and_the_upstream() -> None:
    asked = {**generation(), FLAG: True}
    assert (call(NAME, asked).flagged, forwarded(NAME, asked)[FLAG]) == (True, True)
    assert (call(NAME, generation()).flagged, forwarded(NAME, generation())[FLAG]) == (False, False)


# --- inputs -------------------------------------------------------------------------------------------------------

BOUNDS = [("sequence", 0, 32), ("structure", -1, 4100), ("secondary_structure", 0, 10), ("sasa", 0, 18)]


@pytest.mark.parametrize(("track", "lowest", "highest"), BOUNDS)
def test_ids_of_a_track_are_taken_up_to_both_ends_of_its_vocabulary(track: str, lowest: int, highest: int) -> None:
    tokens = [*TOKENS[track][:5], lowest, highest, TOKENS[track][-1]]
    assert forwarded(NAME, {**generation(track), "inputs": {track: tokens}})["inputs"][track] == tokens
    for i, wrong in [(0, lowest - 1), (3, highest + 1), (7, 2**40), (1, "5"), (2, 5.5), (4, True), (5, None), (6, [])]:
        odd = [*tokens[:i], wrong, *tokens[i + 1 :]]
        assert errors(NAME, {**generation(track), "inputs": {track: odd}}) == [f"/inputs/{track}/{i}"]


def test_the_bounds_above_are_those_of_the_vocabulary() -> None:
    assert {(name, TRACKS[name].lowest, TRACKS[name].highest) for name, _, _ in BOUNDS} == set(BOUNDS)


@pytest.mark.parametrize("row", [[0] * 7, [0] * 9, [], 5, "0", None, [0] * 7 + [260], [-1] + [0] * 7, [0.5] + [0] * 7])
def test_a_function_row_is_eight_ids(row: Any) -> None:
    rows = [*TOKENS["function"][:3], row, *TOKENS["function"][4:]]
    (where,) = errors(NAME, {**generation("function"), "inputs": {"function": rows}})
    assert where.startswith("/inputs/function/3")


@pytest.mark.parametrize("row", [[0] * 17, 5, None, [1478], [-1], ["7"]])
def test_a_row_of_residue_annotations_is_at_most_sixteen_ids(row: Any) -> None:
    inputs = {**TOKENS, "residue_annotation": [*TOKENS["residue_annotation"][:7], row]}
    (where,) = errors(NAME, generation(inputs=inputs))
    assert where.startswith("/inputs/residue_annotation/7")


@pytest.mark.parametrize("row", [[], [0], [7], [0, 7, 0, 1477], [7] * 16])
def test_residue_annotations_are_forwarded_packed_and_sixteen_wide(row: list[int]) -> None:
    body = forwarded(NAME, generation(inputs={"sequence": TOKENS["sequence"], "residue_annotation": [row] * 8}))
    ids = [number for number in row if number]
    assert body["inputs"]["residue_annotation"] == [ids + [0] * (16 - len(ids))] * 8


@pytest.mark.parametrize("atoms", [3, 14, 37])
def test_coordinates_have_three_fourteen_or_thirty_seven_atoms(atoms: int) -> None:
    array = [residue[:atoms] for residue in TOKENS["coordinates"]]
    body = forwarded(NAME, generation(inputs={**TOKENS, "coordinates": array}))
    assert body["inputs"]["coordinates"] == array
    odd = [*array[:6], array[6] + [[0.0] * 3], array[7]]
    assert errors(NAME, generation(inputs={**TOKENS, "coordinates": odd})) == ["/inputs/coordinates/6"]


def test_coordinates_are_forwarded_as_float32_in_full_digits() -> None:
    array = [NULLS, [[1.23, None, -0.0]] * 37, NULLS]
    body = forwarded(NAME, sequence(0, 32, 2, inputs={"sequence": [0, 32, 2], "coordinates": array}))
    assert body["inputs"]["coordinates"][1][0] == [1.2300000190734863, None, 0.0]


@pytest.mark.parametrize("inputs", [{}, dict.fromkeys(INPUTS), {"sequence": None}])
def test_at_least_one_track_must_be_given(inputs: Json) -> None:
    assert errors(NAME, generation(inputs=inputs)) == ["/inputs"]


@pytest.mark.parametrize("inputs", [None, [], "ACD", 5])
def test_inputs_are_an_object(inputs: Any) -> None:
    assert errors(NAME, generation(inputs=inputs)) == ["/inputs"]


@pytest.mark.parametrize("track", ["residue_annotations", "plddt", "Sequence"])
def test_an_unknown_track_is_refused_even_where_it_is_null(track: str) -> None:
    assert errors(NAME, generation(inputs={**TOKENS, track: None})) == [f"/inputs/{track}"]


@pytest.mark.parametrize("track", [name for name in INPUTS if name != "sequence"])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_track_of_another_length_is_named(track: str, change: int) -> None:
    tokens = TOKENS[track][:-1] if change < 0 else [*TOKENS[track], TOKENS[track][-1]]
    assert errors(NAME, generation(inputs={**TOKENS, track: tokens})) == [f"/inputs/{track}"]


def test_every_track_of_another_length_is_named_at_once() -> None:
    inputs = {**TOKENS, "sasa": [0] * 9, "structure": [0] * 7}
    assert errors(NAME, generation(inputs=inputs)) == ["/inputs/structure", "/inputs/sasa"]


def test_lengths_from_one_residue_to_the_limit_are_taken() -> None:
    assert call(NAME, sequence(0, 32, 2)).length == 3
    assert errors(NAME, sequence(0, 2)) == ["/inputs/sequence"]
    assert errors(NAME, sequence()) == ["/inputs/sequence"]
    short = ParseConfig(models=RULES.models, max_tokens=8)
    assert call(NAME, generation(), rules=short).length == 8
    assert errors(NAME, sequence(0, *[32] * 7, 2), rules=short) == ["/inputs/sequence"]
    assert call(NAME, sequence(0, *[32] * 4094, 2)).length == 4096
    assert errors(NAME, sequence(0, *[32] * 4095, 2)) == ["/inputs/sequence"]


@pytest.mark.parametrize("track", ["residue_annotation", "coordinates"])
def test_two_positions_are_too_few_on_any_track(track: str) -> None:
    assert errors(NAME, generation(inputs={track: TOKENS[track][:2]})) == [f"/inputs/{track}"]


# --- what the sampler fails on --------------------------------------------------------------------------------------


def test_steps_may_be_as_many_as_positions_and_no_more() -> None:
    assert forwarded(NAME, generation(num_steps=8))["num_steps"] == 8
    assert errors(NAME, generation(num_steps=9)) == ["/num_steps"]


@pytest.mark.parametrize(("rules", "default"), [(RULES, 20), (OLD, 8)])
def test_absent_steps_shrink_to_a_short_input(rules: ParseConfig, default: int) -> None:
    for n in (3, 7, 8, 9, 19, 20, 21, 30):
        body = forwarded(NAME, sequence(0, *[32] * (n - 2), 2), rules=rules)
        assert body["num_steps"] == min(default, n)


FILLED = {
    "sequence": [32, 5, 6, 32],
    "structure": [4096, 7, -1, 4096],
    "secondary_structure": [0, 3, 10, 0],
    "sasa": [0, 3, 18, 0],
    "function": [[0] * 8, [3] * 8, [0] * 7 + [4], [0] * 8],
}


@pytest.mark.parametrize("track", GENERATED)
def test_a_track_without_a_masked_position_cannot_be_generated(track: str) -> None:
    assert errors(NAME, generation(track, inputs={track: FILLED[track]})) == [f"/inputs/{track}"]


def test_a_sequence_of_specials_leaves_nothing_to_generate_on_an_absent_track() -> None:
    assert errors(NAME, generation("sasa", inputs={"sequence": [0, 1, 3, 31, 2]})) == ["/inputs/sasa"]
    assert errors(NAME, generation("sasa", inputs={"sequence": [0, 1, 4, 31, 2]})) == []


def test_coordinates_discard_a_filled_structure_only_when_they_alone_condition() -> None:
    inputs = {"structure": FILLED["structure"], "coordinates": [NULLS] * 4}
    assert errors(NAME, generation("structure", inputs=inputs)) == []
    odd = generation("structure", inputs=inputs, condition_on_coordinates_only=False)
    assert errors(NAME, odd) == ["/inputs/structure"]


@pytest.mark.parametrize("track", [name for name in GENERATED if name != "function"])
def test_an_id_must_be_left_that_can_be_sampled(track: str) -> None:
    ids = list(TRACKS[track].ordinary)
    assert errors(NAME, generation(track, invalid_ids=ids)) == ["/invalid_ids"]
    assert errors(NAME, generation(track, invalid_ids=[*ids, 5000, -7, 0])) == ["/invalid_ids"]
    assert errors(NAME, generation(track, invalid_ids=ids[1:])) == []
    assert errors(NAME, generation(track, invalid_ids=ids[:-1])) == []


def test_invalid_ids_have_no_effect_on_the_function_track() -> None:
    assert errors(NAME, generation("function", invalid_ids=list(range(260)))) == []


def test_the_function_track_at_temperature_zero_needs_annealing() -> None:
    assert errors(NAME, generation("function", temperature=0, temperature_annealing=False)) == ["/temperature"]
    assert errors(NAME, generation("function", temperature=0)) == []
    assert errors(NAME, generation("function", temperature=0.1, temperature_annealing=False)) == []
    assert errors(NAME, generation("sasa", temperature=0, temperature_annealing=False)) == []


def test_annealing_squares_a_temperature_that_is_huge() -> None:
    assert errors(NAME, generation(temperature=1e38, temperature_annealing=False)) == []
    assert errors(NAME, generation(temperature=1.1e38, temperature_annealing=False)) == ["/temperature"]
    assert errors(NAME, generation("function", temperature=1e38)) == []
    assert errors(NAME, generation("structure", temperature=2e19)) == ["/temperature"]


def test_all_that_is_wrong_for_the_sampler_is_said_at_once() -> None:
    odd = generation(inputs={"sequence": FILLED["sequence"]}, num_steps=50, temperature=1e-40, invalid_ids=[*range(33)])
    assert errors(NAME, odd) == ["/num_steps", "/temperature", "/invalid_ids", "/inputs/sequence"]


# --- what a call costs, and its class ---------------------------------------------------------------------------------

# (changes, effective steps): 8 positions, of which 3 are masked on sequence, 2 on structure, 3 on the others
BILLS: list[tuple[str, Json, int]] = [
    ("sequence", {}, 3),
    ("sequence", {"num_steps": 1}, 1),
    ("sequence", {"num_steps": 2}, 2),
    ("sequence", {"num_steps": 8}, 3),
    ("structure", {}, 2),
    ("secondary_structure", {}, 3),
    ("sasa", {}, 3),
    ("function", {}, 3),
    # an absent track: the six residues of the sequence, whether masked or not
    ("sasa", {"inputs": {"sequence": TOKENS["sequence"]}}, 6),
    ("sasa", {"inputs": {"sequence": TOKENS["sequence"]}, "num_steps": 5}, 5),
    ("sasa", {"inputs": {"sequence": [0, 5, 31, 6, 32, 3, 1, 2]}}, 3),
    # no sequence either: all positions but two
    ("sasa", {"inputs": {"structure": TOKENS["structure"]}}, 6),
    # structure that coordinates throw away is as an absent one
    ("structure", {"inputs": {**TOKENS}}, 6),
    ("structure", {"inputs": {**TOKENS}, "condition_on_coordinates_only": False}, 2),
]


@pytest.mark.parametrize(("track", "changes", "steps"), BILLS)
def test_units_are_effective_steps_times_positions(track: str, changes: Json, steps: int) -> None:
    made = call(NAME, generation(track, **changes))
    assert (made.units, made.length) == (steps * 8, 8)


def test_units_of_a_long_protein_by_hand() -> None:
    assert call(NAME, sequence(*LONG)).units == 20 * 120
    assert call(NAME, sequence(*LONG, num_steps=100)).units == 100 * 120
    assert call(NAME, sequence(*LONG), rules=OLD).units == 8 * 120
    assert call(NAME, {**sequence(*LONG), "model": ESMC}).units == 10 * 120


@pytest.mark.parametrize(
    ("changes", "cls"),
    [
        ({}, DeterminismClass.SAMPLED),
        ({"temperature": 0}, DeterminismClass.PINNED),
        ({"temperature": -0.0}, DeterminismClass.PINNED),
        ({"temperature": 0, "strategy": "entropy"}, DeterminismClass.PINNED),
        ({"temperature": 0, "strategy": "entropy", "temperature_annealing": False}, DeterminismClass.EXACT),
        ({"temperature": 0, "temperature_annealing": False}, DeterminismClass.PINNED),
        ({"temperature": 0, "temperature_annealing": False, "num_steps": 1}, DeterminismClass.EXACT),
    ],
)
def test_the_class_is_that_of_the_spelled_out_call(changes: Json, cls: DeterminismClass) -> None:
    assert call(NAME, generation(**changes)).determinism.cls is cls


def test_one_masked_position_is_one_step_whatever_was_asked() -> None:
    asked = sequence(0, 5, 32, 6, 2, temperature=0, temperature_annealing=False, num_steps=5)
    assert call(NAME, asked).determinism.cls is DeterminismClass.EXACT


# --- the SDK ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "body"), [(case, body) for case, _, body in wire(NAME)])
def test_what_the_sdk_sends_is_forwarded_equal(case: str, body: Json) -> None:
    if case.endswith("_function"):
        # The recording's server took what the sampler answers with a division by zero.
        assert errors(NAME, body) == ["/temperature"]
        body = {**body, "temperature_annealing": True}
    assert unlike(forwarded(NAME, body), {**body, "invalid_ids": sorted(body["invalid_ids"])}) == set()
