"""The tracks of a protein in letters, as generate and encode take them."""

from typing import Any

import pytest

from gateway.core.problems import Problem
from tests.endpoints.examples import (
    COORDINATES,
    NULLS,
    PROTEIN,
    Json,
    call,
    example,
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


def of_protein(text: str) -> Json:
    return {"inputs": {"sequence": text}}


def of_chain(kind: str) -> object:
    return lambda text: {"all_atom_input": {"sequences": [{"type": kind, "id": "A", "sequence": text}]}}


AT_CHAIN = "/all_atom_input/sequences/0/sequence"
# Every place of every endpoint that takes letters.
PLACES = [
    ("generate", of_protein, "/inputs/sequence"),
    ("encode", of_protein, "/inputs/sequence"),
    ("generate", lambda text: {"inputs": {"secondary_structure": text}}, "/inputs/secondary_structure"),
    ("encode", lambda text: {"inputs": {"secondary_structure": text}}, "/inputs/secondary_structure"),
    ("fold", lambda text: {"sequence": text}, "/sequence"),
    ("inverse_fold", lambda text: {"coordinates": COORDINATES, "sequence": text}, "/sequence"),
    ("fold_all_atom", of_chain("protein"), AT_CHAIN),
    ("fold_all_atom", of_chain("rna"), AT_CHAIN),
]


@pytest.mark.parametrize(("name", "changes", "where"), PLACES)
@pytest.mark.parametrize(
    ("letter", "said"),
    [
        ("*", "letter 5 is '*'"),
        ("\n", r"letter 5 is '\n' (a line break)"),
        (">", "letter 5 is '>'"),
        (":", "write `|` between chains"),
    ],
)
def test_a_wrong_letter_is_named_with_its_place_and_nothing_else_is(
    name: str, changes: Any, where: str, letter: str, said: str
) -> None:
    with pytest.raises(Problem) as caught:
        call(name, least(name, **changes(f"HECG{letter}TIBS")))
    (error,) = caught.value.errors
    assert error.pointer == where
    assert said in error.detail
    shown = str(caught.value.document("r"))
    assert "HECG" not in shown
    assert "TIBS" not in shown
    assert "pattern" not in shown


def test_the_query_of_msa_names_it_too() -> None:
    with pytest.raises(Problem) as caught:
        call("msa", example("msa").body, "sequence=HECG%2FTIBS")
    (error,) = caught.value.errors
    assert (error.pointer, "letter 5 is '/'" in error.detail) == ("/query/sequence", True)


def test_letters_of_secondary_structure_are_named_from_the_eight_states() -> None:
    for name in IN_LETTERS:
        with pytest.raises(Problem) as caught:
            call(name, least(name, inputs={"secondary_structure": "HHJ_EC"}))
        (error,) = caught.value.errors
        assert error.detail == "letter 3 is 'J'; the eight states G H I T E B S C and `_` (masked) are accepted"
