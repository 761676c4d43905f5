"""The tracks of a protein in raw tokens, as decode, forward_and_sample and logits take them."""

import pytest

from tests.endpoints.examples import (
    TOKENS,
    Json,
    forwarded,
    least,
    odd,
    unlike,
)

IN_TOKENS = ["decode", "forward_and_sample", "logits"]


@pytest.mark.parametrize("name", IN_TOKENS)
@pytest.mark.parametrize("track", [name for name in TOKENS if name != "sequence"])
def test_a_track_of_tokens_of_another_length_is_named(name: str, track: str) -> None:
    assert odd(name, inputs={**TOKENS, track: TOKENS[track][:-1]}) == [f"/inputs/{track}"]


@pytest.mark.parametrize("name", IN_TOKENS)
def test_the_tracks_that_were_given_are_forwarded_and_no_others(name: str) -> None:
    whole = {
        **TOKENS,
        "residue_annotation": [[0] * 16, [7, 9] + [0] * 14, [0] * 16, [1477, 4] + [0] * 14, *[[0] * 16] * 4],
    }
    assert unlike(forwarded(name, least(name, inputs=TOKENS))["inputs"], whole) == set()
    for inputs in ({"sequence": TOKENS["sequence"]}, {"sequence": TOKENS["sequence"], "structure": None}):
        assert forwarded(name, least(name, inputs=inputs))["inputs"] == inputs


@pytest.mark.parametrize("name", IN_TOKENS)
@pytest.mark.parametrize(
    ("inputs", "where"),
    [
        ({}, ""),
        ({"sequence": "ACDEFG"}, "/sequence"),
        ({"sequence": [0, 33, 2]}, "/sequence/1"),
        ({"sequence": [0, 2]}, "/sequence"),
        ({"structure": [4098, 4101, 4097]}, "/structure/1"),
        ({"function": [[0] * 7] * 3}, "/function/0"),
        ({"sasa": [0, 19, 0]}, "/sasa/1"),
        ({"sasa": [0, "3", 0]}, "/sasa/1"),
        ({"coordinates": [[[1, 2]] * 37] * 3}, "/coordinates/0"),
        ({"sequence": [0, 5, 2], "plddt": None}, "/plddt"),
    ],
)
def test_tracks_are_checked_as_those_of_generate_tensor(name: str, inputs: Json, where: str) -> None:
    assert odd(name, inputs=inputs)[0].startswith(f"/inputs{where}")
