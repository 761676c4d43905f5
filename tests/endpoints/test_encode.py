"""encode: what a protein in letters costs; its tracks are tested with those of generate (test_letters.py)."""

from tests.endpoints.examples import COORDINATES, ESM3, PROTEIN, Example, forwarded, least

EXAMPLE = Example(
    {"model": ESM3, "inputs": {"sequence": PROTEIN["sequence"]}},
    bills=(
        ({}, 8, 1),
        ({"inputs": {"coordinates": COORDINATES}}, 8, 1),
        ({"inputs": {"sequence": "ACD|EFGH"}}, 10, 1),
    ),
    too_long=({"inputs": {"sasa": [1.0] * 7}}, "/inputs/sasa"),
    sdk=("321", "341"),
)


def test_coordinates_go_upstream_as_float32_with_nulls() -> None:
    array = [[[1.23, None, -0.0]] * 37] * 6
    expected = [[[1.2300000190734863, None, 0.0]] * 37] * 6
    assert forwarded("encode", least("encode", inputs={"coordinates": array}))["inputs"]["coordinates"] == expected
    assert forwarded("inverse_fold", least("inverse_fold", coordinates=array))["coordinates"] == expected
