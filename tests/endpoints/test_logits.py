"""logits: its configuration; its tracks are tested with those of its siblings (test_tokens.py)."""

import pytest

from tests.endpoints.examples import (
    ESM3,
    NULLS,
    TOKENS,
    Example,
    Json,
    forwarded,
    least,
    odd,
)

NAME = "logits"
EXAMPLE = Example(
    {"model": ESM3, "inputs": {"sequence": TOKENS["sequence"]}},
    bills=(
        ({}, 8, 1),
        ({"inputs": {"sequence": [0, *[5] * 98, 2]}}, 100, 1),
        ({"logits_config": {"return_hidden_states": True, "sae_config": None}}, 8, 1),
        # a fifth of a pass for each sparse autoencoder
        ({"logits_config": {"sae_config": {"models": [f"layer-{i}" for i in range(5)]}}}, 8, 2),
        ({"logits_config": {"sae_config": {"models": ["one"] * 1000}}}, 8, 201),
    ),
    too_long=({"inputs": {"coordinates": [NULLS] * 9}}, "/inputs/coordinates"),
    sdk=("321", "341"),
)

SAE = {"models": ["layer-40"], "normalize_features": True}
LOGITS = "logits_config"


@pytest.mark.parametrize(
    ("member", "good", "bad", "where"),
    [
        (LOGITS, {"sequence": True, "sae_config": None}, {"sequences": True}, ["sequences"]),
        (LOGITS, {"sae_config": SAE}, {"sae_config": {**SAE, "model": "x"}}, ["sae_config/model"]),
        (LOGITS, {"ith_hidden_layer": -1}, {"ith_hidden_layer": -2}, ["ith_hidden_layer"]),
        (LOGITS, {"return_mean_embedding": True}, {"return_embeddings": "true"}, ["return_embeddings"]),
    ],
)
def test_a_configuration_is_forwarded_as_given_or_refused_by_name(
    member: str, good: Json, bad: Json, where: list[str]
) -> None:
    for value in (good, None):
        assert forwarded(NAME, least(NAME, **{member: value}))[member] == value
    assert odd(NAME, **{member: bad}) == [f"/{member}/{step}" for step in where]
    assert odd(NAME, **{member: [good]}) == [f"/{member}"]
