"""inverse_fold: a structure, a sequence of its length, and how the answer is sampled."""

from typing import Any

import pytest

from tests.endpoints.examples import (
    COORDINATES,
    ESM3,
    NULLS,
    Example,
    Json,
    forwarded,
    least,
    odd,
)

NAME = "inverse_fold"
EXAMPLE = Example(
    {"model": ESM3, "coordinates": COORDINATES},
    bills=(({}, 8, 1), ({"coordinates": [NULLS] * 18}, 20, 1)),
    too_long=({"coordinates": [NULLS] * 7}, "/coordinates"),
    sdk=("321", "341"),
)


def test_a_sequence_must_be_as_long_as_the_coordinates_it_is_folded_back_to() -> None:
    assert odd("inverse_fold", sequence="ACDEFG") == odd("inverse_fold", sequence=None) == []
    assert odd("inverse_fold", sequence="ACDEF") == ["/sequence"]


@pytest.mark.parametrize("array", [[], "ACD", [NULLS, None], [[[0.0] * 3] * 3] * 6])
def test_what_is_no_structure_of_thirty_seven_atoms_cannot_be_folded_back(array: Any) -> None:
    assert odd("inverse_fold", coordinates=array)[0].startswith("/coordinates")


FOLDING = "inverse_folding_config"


@pytest.mark.parametrize(
    ("member", "good", "bad", "where"),
    [
        (FOLDING, {"invalid_ids": [24], "temperature": 0.1}, {"temperature": -0.1}, ["temperature"]),
        (FOLDING, {}, {"invalid_ids": ["X"], "seed": 1}, ["invalid_ids/0", "seed"]),
    ],
)
def test_a_configuration_is_forwarded_as_given_or_refused_by_name(
    member: str, good: Json, bad: Json, where: list[str]
) -> None:
    for value in (good, None):
        assert forwarded(NAME, least(NAME, **{member: value}))[member] == value
    assert odd(NAME, **{member: bad}) == [f"/{member}/{step}" for step in where]
    assert odd(NAME, **{member: [good]}) == [f"/{member}"]
