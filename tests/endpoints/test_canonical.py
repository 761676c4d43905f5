"""Two texts with one meaning are one call; a change in anything that matters is another call."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.tracks import GENERATED
from tests.endpoints.examples import ESM3, ESMC, FLAG, call, generation
from tests.endpoints.meanings import LIMITS, SEEDS, Meaning, meanings, said

NAME = "generate_tensor"
DETERMINED = settings(
    max_examples=300, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def canonical(meaning: Meaning, draw: st.DataObject) -> bytes:
    return call(NAME, said(meaning, draw.draw(SEEDS))).canonical_digest


@DETERMINED
@given(meanings(), st.data())
def test_equal_meaning_is_an_equal_call(meaning: Meaning, draw: st.DataObject) -> None:
    one, other = (call(NAME, said(meaning, draw.draw(SEEDS))) for _ in range(2))
    same = (one.canonical_digest == other.canonical_digest, one.body == other.body, one == other)
    assert same == (True, True, True)


@DETERMINED
@given(meanings(), st.data())
def test_another_token_anywhere_is_another_call(meaning: Meaning, draw: st.DataObject) -> None:
    name = draw.draw(st.sampled_from(sorted(set(meaning.inputs) - {"coordinates"})))
    track: list[Any] = [list(row) if isinstance(row, list) else row for row in meaning.inputs[name]]
    i = draw.draw(st.integers(0, len(track) - 1))
    if name == meaning.parameters["track"] and i == 1:
        i = 2
    if name in LIMITS:
        track[i] = other_id(name, track[i], draw.draw(st.integers(1, 4000)))
    elif name == "function":
        j = draw.draw(st.integers(0, 7))
        track[i][j] = (track[i][j] + draw.draw(st.integers(1, 259))) % 260
    else:
        track[i] = other_row(track[i], draw.draw(st.integers(0, 2)))
    assert canonical(meaning, draw) != canonical(meaning.with_track(name, track), draw)


def other_id(name: str, token: int, step: int) -> int:
    lowest, highest = LIMITS[name]
    size = highest - lowest + 1
    return lowest + (token - lowest + 1 + step % (size - 1)) % size


def other_row(row: list[int], way: int) -> list[int]:
    """One id more, one less, or another order: three or more in a row are not bit-equal in another order."""
    if way == 0 or not row:
        return [*row, 8]
    turned = [*row[1:], row[0]]
    return turned if way == 1 and turned != row else row[:-1]


@DETERMINED
@given(meanings("coordinates"), st.data())
def test_a_coordinate_moved_by_one_float32_is_another_call(meaning: Meaning, draw: st.DataObject) -> None:
    array = [[list(atom) for atom in residue] for residue in meaning.inputs["coordinates"]]
    atom = array[draw.draw(st.integers(0, len(array) - 1))][draw.draw(st.integers(0, 2))]
    k = draw.draw(st.integers(0, 2))
    if atom[k] is None or draw.draw(st.integers(0, 4)) == 0:
        atom[k] = 0.0 if atom[k] is None else None
    else:
        atom[k] = float(np.nextafter(np.float32(atom[k]), np.float32(draw.draw(st.sampled_from([-3e38, 3e38])))))
    assert canonical(meaning, draw) != canonical(meaning.with_track("coordinates", array), draw)


CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "model": st.sampled_from([ESM3, ESMC]),
    FLAG: st.booleans(),
    "invalid_ids": st.lists(st.sampled_from([-1, 4, 7, 22, 25, 64]), unique=True, max_size=3).map(sorted),
    "schedule": st.sampled_from(["cosine", "linear"]),
    "strategy": st.sampled_from(["random", "entropy"]),
    "num_steps": st.integers(1, 5),
    "temperature": st.floats(0.01, 10) | st.just(float(np.nextafter(0.5, 1))),
    "temperature_annealing": st.booleans(),
    "top_p": st.floats(0, 1, exclude_min=True) | st.just(float(np.nextafter(1.0, 0))),
    "condition_on_coordinates_only": st.booleans(),
}


@DETERMINED
@given(meanings(), st.data())
def test_another_parameter_model_or_flag_is_another_call(meaning: Meaning, draw: st.DataObject) -> None:
    assert set(CHANGES) | {"track"} == set(meaning.parameters)
    name = draw.draw(st.sampled_from(sorted(CHANGES)))
    value = draw.draw(CHANGES[name].filter(lambda value: value != meaning.parameters[name]))
    assert canonical(meaning, draw) != canonical(meaning.with_parameter(name, value), draw)


@DETERMINED
@given(meanings(), st.data())
def test_a_track_more_or_less_is_another_call(meaning: Meaning, draw: st.DataObject) -> None:
    spare = sorted(set(meaning.inputs) - {meaning.parameters["track"]})
    if not spare:
        n = len(meaning.inputs[meaning.parameters["track"]])
        meaning, spare = meaning.with_track("residue_annotation", [[]] * n), ["residue_annotation"]
    name = draw.draw(st.sampled_from(spare))
    assert canonical(meaning, draw) != canonical(meaning.with_track(name, None), draw)


def test_the_generated_track_is_part_of_the_call() -> None:
    inputs = {"inputs": {"residue_annotation": [[0]] * 8}}
    assert len({call(NAME, generation(track, **inputs)).canonical_digest for track in GENERATED}) == 5


def test_known_spellings_of_one_body_are_one_call() -> None:
    texts = [
        '{"model":"esm3-open-2024-03","inputs":{"sequence":[0,32,2]},"track":"sequence"}',
        '{"track":"sequence","inputs":{"sequence":[0,32,2.0]},"model":"esm3-open-2024-03"}',
        '{"model":"esm3-open-2024-03","inputs":{"sequence":[-0,32,2],"sasa":null},"track":"sequence","num_steps":3}',
        '{"model":"esm3-open-2024-03","inputs":{"sequence":[0,3.2e1,2]},"track":"sequence","invalid_ids":[]}',
        '{"model":"esm3-open-2024-03","inputs":{"sequence":[0,32,2]},"track":"\\u0073equence","temperature":5e-1}',
        '{"model":"esm3-open-2024-03","inputs":{"sequence":[0,32,2]},"track":"sequence","top_p":1,"schedule":null}',
        '{"model":"esm3-open-2024-03","inputs":{"sequence":[0,32,2]},"track":"sequence",'
        '"potential_sequence_of_concern":false,"strategy":"random"}',
    ]
    calls = [call(NAME, text) for text in texts]
    assert len({made.canonical_digest for made in calls}) == len({made.body for made in calls}) == 1


def test_temperature_zero_and_minus_zero_are_one_call() -> None:
    texts = ["0", "0.0", "-0.0", "-0", "0e7"]
    body = '{"model":"esm3-open-2024-03","inputs":{"sequence":[0,32,2]},"track":"sequence","temperature":%s}'
    assert len({call(NAME, body % text) for text in texts}) == 1
