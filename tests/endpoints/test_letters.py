"""The tracks of a protein in letters, as generate and encode take them."""

import pytest

from tests.endpoints.examples import (
    NULLS,
    PROTEIN,
    Json,
    forwarded,
    least,
    odd,
)

IN_LETTERS = ["generate", "encode"]


@pytest.mark.parametrize("name", IN_LETTERS)
@pytest.mark.parametrize("track", ["secondary_structure", "sasa", "coordinates"])
def test_a_track_of_another_length_is_named(name: str, track: str) -> None:
    assert odd(name, inputs={**PROTEIN, track: PROTEIN[track][:-1]}) == [f"/inputs/{track}"]


@pytest.mark.parametrize("name", IN_LETTERS)
def test_every_track_in_letters_is_forwarded_as_given(name: str) -> None:
    assert forwarded(name, least(name, inputs=PROTEIN))["inputs"] == PROTEIN
    nulls = {**dict.fromkeys(PROTEIN), "sequence": "AC|DEFG.-X_"}
    assert forwarded(name, least(name, inputs=nulls))["inputs"] == nulls


@pytest.mark.parametrize("name", IN_LETTERS)
@pytest.mark.parametrize(
    ("inputs", "where"),
    [
        ({}, ""),
        ({"sequence": None, "function": [["IPR000001", 2, 4]]}, ""),
        ({"sequence": ""}, "/sequence"),
        ({"sequence": "AC DE"}, "/sequence"),
        ({"sequence": "ACDE\n"}, "/sequence"),
        ({"sequence": "AC<mask>"}, "/sequence"),
        ({"sequence": [5, 6]}, "/sequence"),
        ({"sequence": "AC:DE"}, "/sequence"),
        ({"secondary_structure": "H H"}, "/secondary_structure"),
        ({"sasa": "1.0"}, "/sasa"),
        ({"sasa": [1.0, -2.0]}, "/sasa/1"),
        ({"sasa": [1.0, True]}, "/sasa/1"),
        ({"sasa": [1.0, "pad"]}, "/sasa/1"),
        ({"sasa": []}, "/sasa"),
        ({"sequence": "AC", "function": [["IPR000001", 2]]}, "/function/0/2"),
        ({"sequence": "AC", "function": [["IPR000001", 2, 3, 4]]}, "/function/0"),
        ({"sequence": "AC", "function": [["IPR000001", "2", 3]]}, "/function/0/1"),
        ({"sequence": "AC", "function": [["", 2, 3]]}, "/function/0/0"),
        ({"sequence": "AC", "function": [["x", -1, 3]]}, "/function/0/1"),
        ({"sequence": "AC", "function": ["abc"]}, "/function/0"),
        ({"coordinates": [[[1.0] * 3] * 3] * 6}, "/coordinates/0"),
        ({"coordinates": [NULLS, [["x"] * 3] * 37]}, "/coordinates/1"),
        ({"sequence": "AC", "structure": [1, 2]}, "/structure"),
        ({"sequence": "AC", "function_annotations": None}, "/function_annotations"),
    ],
)
def test_a_protein_that_is_not_in_letters_is_refused_by_name(name: str, inputs: Json, where: str) -> None:
    assert odd(name, inputs=inputs)[0].startswith(f"/inputs{where}")
