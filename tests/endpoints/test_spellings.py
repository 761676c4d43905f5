"""What one release of the SDK spells out and another leaves out is one call, on every endpoint; a choice is not."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
import zstandard
from pydantic import BaseModel

from gateway import endpoints
from gateway.core.canonical_form import FORM
from gateway.core.endpoint import ParseConfig
from gateway.core.types import Call
from gateway.endpoints._folding import FAST
from tests.endpoints.examples import ESM3, FLAG, RULES, WIRE, Json, call, example, least

NAMES = [endpoint.name for endpoint in endpoints.ENDPOINTS]
CHOICES = {"msa_max_depth"}
"""Members for which null says something: esm/sdk/api.py, FoldingConfig."""
SAMPLING = {"sampling_config": {"sequence": {"temperature": 0.7}}}
RICH: dict[str, Json] = {
    "logits": {"logits_config": {"sequence": True}},
    "forward_and_sample": SAMPLING,
    "inverse_fold": {"inverse_folding_config": {"temperature": 0.5}},
}
"""Configurations that say something, so that members can be put into them."""
RECORDED = sorted(
    path.stem.removeprefix("321_")
    for path in WIRE.glob("321_*.json")
    if (WIRE / path.name.replace("321_", "341_")).exists() and "_tensor_function" not in path.name
)


def bodies(case: str) -> list[tuple[str, Json]]:
    exchanges = json.loads((WIRE / f"{case}.json").read_text())["exchanges"]
    return [(each["request"]["target"].removeprefix("/api/v1/"), each["request"]["body"]) for each in exchanges]


def digest(name: str, body: Json) -> bytes:
    rules = ParseConfig({**RULES.models, body.get("model", ESM3): 1.0, FAST: 1.0})
    return call(name, body, example(name).query, rules).canonical_digest


def filled(name: str) -> Json:
    return {**least(name), **RICH.get(name, {})}


def optional(model: type[BaseModel], body: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Paths of members that the model takes as null and that the body does not have, at every depth."""
    for name, field in model.model_fields.items():
        if name == "query":
            continue
        if name not in body and not field.is_required():
            yield (name,)
        inner = body.get(name)
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel) and isinstance(inner, dict):
                yield from ((name, *path) for path in optional(part, inner))


def with_member(body: Json, path: tuple[str, ...], value: Any) -> Json:
    name, *rest = path
    inner = value if not rest else with_member(body[name], tuple(rest), value)
    return {**body, name: inner}


OPTIONAL = [(e.name, path) for e in endpoints.ENDPOINTS for path in optional(e.model, filled(e.name))]


def test_the_members_that_are_looked_at_are_those_that_the_releases_differ_in() -> None:
    assert len(OPTIONAL) > 60
    for row in [
        ("generate", ("only_compute_backbone_rmsd",)),
        ("logits", ("logits_config", "sae_config")),
        ("logits", ("logits_config", "return_mean_hidden_states")),
        ("inverse_fold", ("sequence",)),
        ("fold_all_atom", ("msa_max_depth",)),
        ("encode", ("inputs", "coordinates")),
    ]:
        assert row in OPTIONAL


@pytest.mark.parametrize(
    ("name", "path"), OPTIONAL, ids=lambda value: ".".join(value) if type(value) is tuple else value
)
def test_null_is_as_left_out_unless_it_is_a_choice(name: str, path: tuple[str, ...]) -> None:
    same = digest(name, with_member(filled(name), path, None)) == digest(name, filled(name))
    assert same == (path[-1] not in CHOICES)


def test_null_is_as_left_out_inside_a_complex() -> None:
    body = least("fold_all_atom")
    chains = body["all_atom_input"]["sequences"]
    spelled = {**chains[0], "msa": None, "modifications": None, "smiles": None}
    other = {**body, "all_atom_input": {"sequences": [spelled, *chains[1:]], "pocket": None}}
    assert digest("fold_all_atom", other) == digest("fold_all_atom", body)


DEFAULTS: list[tuple[str, Json]] = [
    *((name, {FLAG: False}) for name in NAMES),
    ("generate", {"only_compute_backbone_rmsd": False}),
    ("generate", {"top_p": 1, "schedule": "cosine", "invalid_ids": []}),
    ("logits", {"logits_config": {"sequence": True, "return_embeddings": False, "ith_hidden_layer": -1}}),
    ("logits", {"logits_config": {"sequence": True, "return_mean_embedding": False, "sae_config": None}}),
    ("forward_and_sample", {"embedding_config": {"sequence": False, "per_residue": False}}),
    ("inverse_fold", {"inverse_folding_config": {"temperature": 0.5, "invalid_ids": []}}),
    ("fold", {"num_sampling_steps": 100, "num_loops": 20, "lm_dropout": 0.3, "msa": None}),
    ("fold", {"msa_max_depth": 1024, "msa_column_mask_rate": 0.1, "include_embeddings": False}),
    ("fold", {"lm_mask_pct": 0.0}),
    ("fold", {"lm_mask_pct": -0.0}),
    ("fold_all_atom", {"include_pae": False, "include_pair_chains_iptm": False, "num_loops": 20, "lm_mask_pct": 0}),
]


@pytest.mark.parametrize(("name", "spelled"), DEFAULTS, ids=str)
def test_a_default_that_is_written_out_is_as_left_out(name: str, spelled: Json) -> None:
    assert digest(name, {**filled(name), **spelled}) == digest(name, filled(name))


DIFFERENT: list[tuple[str, Json]] = [
    *((name, {FLAG: True}) for name in NAMES),
    ("generate", {"only_compute_backbone_rmsd": True}),
    ("generate", {"temperature": 0.25}),
    ("logits", {"logits_config": {"sequence": True, "return_mean_embedding": True}}),
    ("logits", {"logits_config": {"sequence": False}}),
    ("logits", {"logits_config": {"sequence": True, "ith_hidden_layer": 0}}),
    ("logits", {"logits_config": {"sequence": True, "sae_config": {}}}),
    ("forward_and_sample", {"sampling_config": {"sequence": {"temperature": 0.7}, "sasa": {}}}),
    ("forward_and_sample", {"sampling_config": {"sequence": {"temperature": 0.0}}}),
    ("forward_and_sample", {"embedding_config": {"sequence": True}}),
    # the two defaults of esm 3.2 and 3.4
    ("inverse_fold", {"inverse_folding_config": {"temperature": 0.1}}),
    ("inverse_fold", {"inverse_folding_config": {"temperature": 1.0}}),
    ("inverse_fold", {"inverse_folding_config": {}}),
    ("inverse_fold", {"inverse_folding_config": {"temperature": 0.5, "invalid_ids": [4]}}),
    ("inverse_fold", {"sequence": "A_____"}),
    ("fold", {"msa_max_depth": None}),
    ("fold", {"msa_max_depth": 0}),
    ("fold", {"lm_mask_pct": 0.1}),
    ("fold", {"lm_dropout": 0}),
    ("fold", {"num_loops": 1}),
    ("fold", {"include_pae": True}),
    ("fold_all_atom", {"num_sampling_steps": 101}),
]


@pytest.mark.parametrize(("name", "spelled"), DIFFERENT, ids=str)
def test_a_choice_is_another_call(name: str, spelled: Json) -> None:
    assert digest(name, {**filled(name), **spelled}) != digest(name, filled(name))


def test_minus_zero_is_zero_in_any_member() -> None:
    for name, spelled in (
        ("fold", {"msa_column_mask_rate": 0.0}),
        ("inverse_fold", {"inverse_folding_config": {"temperature": 0.0}}),
        ("forward_and_sample", {"sampling_config": {"sequence": {"temperature": 0.0}}}),
    ):
        minus = json.loads(json.dumps(spelled).replace("0.0", "-0.0"))
        assert digest(name, {**filled(name), **minus}) == digest(name, {**filled(name), **spelled})


def test_what_is_masked_by_default_depends_on_the_model_that_folds() -> None:
    fast = {**least("fold"), "model": FAST}
    assert digest("fold", {**fast, "lm_mask_pct": 0.1}) == digest("fold", fast)
    assert digest("fold", {**fast, "lm_mask_pct": 0.0}) != digest("fold", fast)


def packed_at(level: int, alignment: Json) -> str:
    """As two releases of zstd would: the same content in other bytes."""
    return base64.b64encode(zstandard.ZstdCompressor(level).compress(json.dumps(alignment).encode())).decode()


@pytest.mark.parametrize("name", ["fold", "fold_all_atom"])
def test_how_an_alignment_is_packed_does_not_matter_and_what_it_holds_does(name: str) -> None:
    def with_msa(msa: Any) -> Json:
        if name == "fold":
            return least(name, msa=msa)
        chain = {"type": "protein", "id": "A", "sequence": "ACDEFG", "msa": msa}
        return least(name, all_atom_input={"sequences": [chain]})

    one, other = {"sequences": ["ACDEFG", "A-DEFG"] * 40}, {"sequences": ["ACDEFG", "ACDE-G"] * 40}
    spellings = [packed_at(level, one) for level in (1, 19)]
    assert spellings[0] != spellings[1]
    digests = [digest(name, with_msa(msa)) for msa in (*spellings, packed_at(1, other), None)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert json.loads(call(name, with_msa(spellings[1])).body) == with_msa(spellings[1])


@pytest.mark.parametrize("case", RECORDED)
def test_two_releases_of_the_sdk_make_one_call(case: str) -> None:
    pairs = list(zip(bodies(f"321_{case}"), bodies(f"341_{case}"), strict=True))
    assert pairs
    for (name, one), (other_name, other) in pairs:
        assert (name, digest(name, one)) == (other_name, digest(name, other))


@pytest.mark.parametrize("name", NAMES)
def test_the_form_carries_its_version_and_the_former_digest_is_known_beside_it(name: str) -> None:
    (endpoint,) = (each for each in endpoints.ENDPOINTS if each.name == name)
    raw = json.dumps(least(name)).encode()
    normalized, made = endpoint.parse_with_body(raw, example(name).query, RULES)
    form = endpoint.canonical_form(normalized)
    assert isinstance(made, Call)
    if endpoint.form == 1:
        assert (form[:2], made.former_digest) == (b'["', b"")
    else:
        assert form.startswith(f'[{FORM},"{name}",'.encode())
        assert len(made.former_digest) == 32
        assert made.former_digest not in (made.canonical_digest, b"")
    assert made.spelling_digest == (made.former_digest or made.canonical_digest)


# Digests as the release before this form made them: what older namespaces, receipts and files name calls by.
FORMER = {
    "encode": "1ec34e976831ec9c17e806b98517f7b25c444e27d6749632446981b1c658a3ec",
    "fold": "936d864b9681e64a7651b664e11eb5906c598ce8cedb0e717700305afe9cb55d",
    "inverse_fold": "33ace64fa4fc1f4b8e6acb8e377664f5cce66f0d8b47df0c77085c14317aafbb",
}


@pytest.mark.parametrize("name", FORMER)
def test_the_former_digest_is_that_of_the_release_before(name: str) -> None:
    assert call(name, least(name), example(name).query).former_digest.hex() == FORMER[name]
