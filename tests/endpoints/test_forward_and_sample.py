"""forward_and_sample: its configurations; its tracks are tested with those of its siblings (test_tokens.py)."""

import pytest

from tests.endpoints.examples import (
    ESM3,
    TOKENS,
    Example,
    Json,
    forwarded,
    least,
    odd,
)

NAME = "forward_and_sample"
EXAMPLE = Example(
    {"model": ESM3, "inputs": {"sequence": TOKENS["sequence"]}},
    bills=(({}, 8, 1), ({"inputs": TOKENS}, 8, 1)),
    too_long=({"inputs": {"structure": [5] * 9}}, "/inputs/structure"),
    sdk=("321", "341"),
)

TRACK = {"temperature": 1.0, "top_p": 1.0, "only_sample_masked_tokens": True, "invalid_ids": [], "topk_logprobs": 0}
SAMPLING = "sampling_config"


@pytest.mark.parametrize(
    ("member", "good", "bad", "where"),
    [
        (SAMPLING, {"sequence": TRACK, "sasa": None}, {"seq": TRACK}, ["seq"]),
        (SAMPLING, {}, {"sequence": {**TRACK, "temperature": -1}}, ["sequence/temperature"]),
        (SAMPLING, {"function": {}}, {"sasa": {"topk_logprobs": 33}}, ["sasa/topk_logprobs"]),
        (
            SAMPLING,
            {"sasa": {"top_p": 0}},
            {"sasa": {"top_p": 1.1, "p": 1}},
            ["sasa/top_p", "sasa/p"],
        ),
        (
            SAMPLING,
            {"sasa": {"invalid_ids": None}},
            {"sasa": {"invalid_ids": 1}},
            ["sasa/invalid_ids"],
        ),
        ("embedding_config", {"sequence": True}, {"per_residue": 1, "x": 1}, ["per_residue", "x"]),
    ],
)
def test_a_configuration_is_forwarded_as_given_or_refused_by_name(
    member: str, good: Json, bad: Json, where: list[str]
) -> None:
    for value in (good, None):
        assert forwarded(NAME, least(NAME, **{member: value}))[member] == value
    assert odd(NAME, **{member: bad}) == [f"/{member}/{step}" for step in where]
    assert odd(NAME, **{member: [good]}) == [f"/{member}"]
