"""logits and forward_and_sample refuse, before the call, an answer larger than what is taken from the upstream."""

from dataclasses import replace

import pytest

from gateway.core.problems import Problem
from tests.endpoints.examples import ESM3, ESMC, RULES, Json, call, errors

TAKES_64_MIB = replace(RULES, max_answer_bytes=64 * 2**20, models={ESM3: 1, ESMC: 1, "private-1": 1})


def logits(n: int, model: str = ESMC, **config: object) -> Json:
    return {"model": model, "inputs": {"sequence": [0, *[5] * (n - 2), 2]}, "logits_config": config}


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        (logits(400, return_hidden_states=True), ["/logits_config/return_hidden_states"]),
        (logits(400, return_hidden_states=True, ith_hidden_layer=-1), ["/logits_config/return_hidden_states"]),
        (logits(160, ESM3, return_hidden_states=True), ["/logits_config/return_hidden_states"]),
        (logits(380, return_hidden_states=True, return_embeddings=True), ["/logits_config/return_hidden_states"]),
        (logits(380, return_hidden_states=True), []),
        (logits(150, ESM3, return_hidden_states=True), []),
        (logits(4000, "private-1", return_hidden_states=True, return_embeddings=True), []),
        (logits(4000, return_hidden_states=True, ith_hidden_layer=12), []),
        (logits(4000, return_mean_hidden_states=True, return_embeddings=True), []),
        (logits(4000, return_hidden_states=False, ith_hidden_layer=-1), []),
        (logits(4000, sequence=True), []),
    ],
)
def test_all_layers_of_a_long_protein_are_refused_and_one_layer_is_not(asked: Json, where: list[str]) -> None:
    assert errors("logits", asked, rules=TAKES_64_MIB) == where
    assert errors("logits", asked, rules=replace(TAKES_64_MIB, max_answer_bytes=None)) == []


def test_the_refusal_names_every_remedy() -> None:
    with pytest.raises(Problem) as caught:
        call("logits", logits(1000, return_hidden_states=True), rules=TAKES_64_MIB)
    (error,) = caught.value.errors
    assert error.detail == (
        "cannot fit: 1000 tokens x 30 x 960 numbers are at least 172.8 MB, and answers of up to 67.1 MB are taken; ask "
        "for one layer (`ith_hidden_layer`), means (`return_mean_hidden_states`) or a shorter protein (at most 388 "
        "tokens)"
    )


@pytest.mark.parametrize("name", ["logits", "forward_and_sample"])
def test_embeddings_count_where_little_is_taken(name: str) -> None:
    little = replace(TAKES_64_MIB, max_answer_bytes=100 * 1536 * 6)
    config = {"logits_config": {"return_embeddings": True}, "embedding_config": {"per_residue": True}}
    member = "logits_config" if name == "logits" else "embedding_config"
    for n, where in ((100, []), (101, [f"/{member}/{next(iter(config[member]))}"])):
        asked = {"model": ESM3, "inputs": {"sequence": [0, *[5] * (n - 2), 2]}, member: config[member]}
        assert errors(name, asked, rules=little) == where
    mean = {"return_mean_embedding": True} if name == "logits" else {"sequence": True}
    assert errors(name, {**asked, member: mean}, rules=little) == []
