"""Coordinates: float32 of the right shape, or every wrong place by pointer."""

import json
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import coordinates
from gateway.core.problems import FieldError
from gateway.core.strict_json import MAX_ERRORS

DETERMINED = settings(max_examples=300, derandomize=True, deadline=None, database=None)
UNKNOWN = [None, None, None]
cells = st.none() | st.floats(-3.3e38, 3.3e38) | st.integers(-(10**6), 10**6)


def residues(n: int, atoms: int = 37) -> list[Any]:
    return [[[0.5 * i, 1.25, -2.0] for _ in range(atoms)] for i in range(n)]


def read(value: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    array = coordinates.read(value, "/c")
    assert isinstance(array, np.ndarray)
    return array


def errors(value: Any, **options: Any) -> list[FieldError]:
    found = coordinates.read(value, "/c", **options)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("atoms", coordinates.ATOM_COUNTS)
def test_three_fourteen_and_thirty_seven_atoms_are_read_as_float32(atoms: int) -> None:
    array = read(residues(2, atoms))
    assert array.shape == (2, atoms, 3)
    assert array.dtype == np.float32
    assert array[1, 0].tolist() == [0.5, 1.25, -2.0]


@DETERMINED
@given(st.lists(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=3, max_size=3), min_size=1, max_size=4))
def test_every_number_is_its_nearest_float32_and_null_is_unknown(value: list[Any]) -> None:
    array = read(value)
    for got, given_ in zip(array.flat, [cell for atom in value for row in atom for cell in row], strict=True):
        assert math.isnan(got) if given_ is None else got == np.float32(given_)
    assert not np.signbit(array[array == 0]).any()


def test_what_the_sdk_writes_comes_back_digit_by_digit() -> None:
    text = b"[[[1.2300000190734863,null,-15.40999984741211],[0.0,1e-45,3.0],[null,null,null]]]"
    text = text.replace(b"1e-45", repr(float(np.float32(1e-45))).encode())
    again = orjson.dumps(coordinates.as_json(read(orjson.loads(text))), option=orjson.OPT_SERIALIZE_NUMPY)
    assert json.loads(again) == json.loads(text)


def test_minus_zero_and_what_underflows_to_it_are_zero() -> None:
    array = read([[[-0.0, -1e-60, 0], UNKNOWN, UNKNOWN]])
    assert array[0, 0].tobytes() == np.zeros(3, np.float32).tobytes()


@pytest.mark.parametrize("value", [None, 5, "ACD", True, {}, {"0": []}, [], 1.5])
def test_what_is_no_array_of_residues_is_refused_as_a_whole(value: Any) -> None:
    assert [error.pointer for error in errors(value)] == ["/c"]


@pytest.mark.parametrize("wrong", [None, 5, "", "abc", {}, [], [UNKNOWN] * 4, [UNKNOWN] * 36, [UNKNOWN] * 38])
def test_a_residue_of_another_shape_is_named(wrong: Any) -> None:
    value = residues(3)
    value[1] = wrong
    assert [error.pointer for error in errors(value)] == ["/c/1"]


@pytest.mark.parametrize("wrong", [None, 5, "", "abc", {}, [], [1.0], [1.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
def test_an_atom_of_another_shape_is_named(wrong: Any) -> None:
    value = residues(3)
    value[2][36] = wrong
    assert [error.pointer for error in errors(value)] == ["/c/2/36"]


@pytest.mark.parametrize("wrong", ["1.0", "", True, False, [], [1.0], {}, 3.41e38, -3.41e38, 1e300, 10**400, -(10**39)])
def test_a_cell_that_is_no_number_within_float32_is_named(wrong: Any) -> None:
    value = residues(3)
    value[0][5][1] = wrong
    assert [error.pointer for error in errors(value)] == ["/c/0/5/1"]


def test_all_booleans_or_all_digits_as_text_are_no_numbers() -> None:
    assert errors([[[True, False, True]] * 3])
    assert errors([[["1", "2", "3"]] * 3])


def test_residues_of_unlike_atom_counts_are_refused() -> None:
    (error,) = errors([*residues(1, 3), *residues(1, 37)])
    assert (error.pointer, "same number of atoms" in error.detail) == ("/c", True)


def test_atom_counts_can_be_narrowed() -> None:
    assert len(errors(residues(2, 3), atom_counts=(37,))) == 2
    assert not isinstance(coordinates.read(residues(2, 37), "/c", (37,)), list)


def test_a_body_full_of_faults_is_answered_with_twenty() -> None:
    assert len(errors([[["x"] * 3] * 37] * 100)) == MAX_ERRORS


def test_faults_repeat_nothing_of_the_value() -> None:
    value = residues(1)
    value[0][0][0] = "MKTAYIAK"
    assert "MKTAYIAK" not in str(errors(value))


def test_an_atom_with_a_number_too_many_does_not_make_up_for_one_with_too_few() -> None:
    value = residues(3)
    value[1][7], value[1][8] = [1.0, 2.0], [1.0, 2.0, 3.0, 4.0]
    assert [error.pointer for error in errors(value)] == ["/c/1/7", "/c/1/8"]
