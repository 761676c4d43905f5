"""The SDK's other calls: what it sends is forwarded equal; what is odd is refused by name; what each costs."""

import json
from typing import Any

import pytest

from gateway import endpoints
from gateway.core.endpoint import NOT_MODELLED, ParseConfig
from gateway.core.problems import BODY_UNREADABLE, CALL_INVALID, Problem
from tests.endpoints.examples import (
    COORDINATES,
    ESM3,
    ESMC,
    FLAG,
    NULLS,
    RULES,
    TOKENS,
    Json,
    call,
    errors,
    forwarded,
    unlike,
    wire,
)

PROTEIN: Json = {
    "sequence": "AC_E|_",
    "secondary_structure": "HH_EC_",
    "sasa": [1.0, None, 12.5, 60, "<pad>", 200.0],
    "function": [["IPR000001", 2, 4]],
    "coordinates": COORDINATES,
}
CHAINS = [{"type": "protein", "id": "A", "sequence": "AG", "msa": None}]

# The least that each endpoint needs.
LEAST: dict[str, Json] = {
    "generate": {"model": ESM3, "track": "sequence", "inputs": {"sequence": PROTEIN["sequence"]}},
    "encode": {"model": ESM3, "inputs": {"sequence": PROTEIN["sequence"]}},
    "decode": {"model": ESM3, "inputs": {"sequence": TOKENS["sequence"]}},
    "forward_and_sample": {"model": ESM3, "inputs": {"sequence": TOKENS["sequence"]}},
    "logits": {"model": ESM3, "inputs": {"sequence": TOKENS["sequence"]}},
    "fold": {"model": ESM3, "sequence": "ACDEFG"},
    "inverse_fold": {"model": ESM3, "coordinates": COORDINATES},
    "fold_all_atom": {"model": ESM3, "all_atom_input": {"sequences": CHAINS}},
}
MSA = "sequence=ACD%3AEFG&use_env=false"
NAMES = [*LEAST, "msa"]
IN_LETTERS, IN_TOKENS = ["generate", "encode"], ["decode", "forward_and_sample", "logits"]


def least(name: str, **changes: Any) -> Json:
    return {**LEAST.get(name, {}), **changes}


def query(name: str) -> str:
    return MSA if name == "msa" else ""


def odd(name: str, rules: ParseConfig = RULES, /, **changes: Any) -> list[str]:
    return errors(name, least(name, **changes), query(name), rules)


# --- all of them --------------------------------------------------------------------------------------------------


def test_these_and_generate_tensor_are_all_endpoints() -> None:
    assert {endpoint.name for endpoint in endpoints.ENDPOINTS} == {*NAMES, "generate_tensor"}
    assert all(endpoint.method == "POST" for endpoint in endpoints.ENDPOINTS)
    assert endpoints.find("/api/v1/batch/submit") is None


RECORDED = [(name, case, asked, body) for name in NAMES for case, asked, body in wire(name)]


@pytest.mark.parametrize(("name", "case", "asked", "body"), RECORDED, ids=[row[1] for row in RECORDED])
def test_what_the_sdk_sends_is_forwarded_equal(name: str, case: str, asked: str, body: Json) -> None:
    made = call(name, body, asked)
    assert unlike(json.loads(made.body), body) == set()
    assert made.target == f"/api/v1/{name}" + (f"?{asked}" if asked else "")
    assert made.flagged is False


def test_the_sdks_requests_of_both_versions_are_among_the_recordings() -> None:
    assert {(name, case[:3]) for name, case, _, _ in RECORDED} == {
        *((name, version) for name in NAMES if name not in ("msa", "fold_all_atom") for version in ("321", "341")),
        ("msa", "321"),
        ("fold_all_atom", "341"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_none_is_cached_and_none_is_said_to_be_deterministic(name: str) -> None:
    endpoint = endpoints.find(f"/api/v1/{name}")
    assert endpoint is not None
    assert not endpoint.cacheable
    assert call(name, least(name), query(name)).determinism == NOT_MODELLED


@pytest.mark.parametrize("name", LEAST)
def test_what_is_required_must_be_there(name: str) -> None:
    for member in LEAST[name]:
        absent = {other: value for other, value in LEAST[name].items() if other != member}
        assert errors(name, absent) == [f"/{member}"]
        assert odd(name, **{member: None}) == [f"/{member}"]
        assert odd(name, **{member: 5}) == [f"/{member}"]


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_member_is_refused_even_where_it_is_null(name: str) -> None:
    for member in ("seed", "Model", "point", "return_bytes", "query"):
        assert odd(name, **{member: 1}) == [f"/{member}"]
        assert odd(name, **{member: None}) == [f"/{member}"]


@pytest.mark.parametrize("name", NAMES)
def test_a_repeated_member_is_refused(name: str) -> None:
    members = json.dumps(least(name, **{FLAG: False}))[1:-1]
    with pytest.raises(Problem) as caught:
        call(name, f'{{"{FLAG}":true,{members}}}', query(name))
    assert caught.value.type is BODY_UNREADABLE


@pytest.mark.parametrize("name", LEAST)
def test_only_models_of_the_settings_are_taken(name: str) -> None:
    assert call(name, least(name, model=ESMC)).model == ESMC
    assert odd(name, model="esm9") == odd(name, model="") == ["/model"]


@pytest.mark.parametrize("name", LEAST)
def test_no_query_parameters_are_taken(name: str) -> None:
    with pytest.raises(Problem) as caught:
        call(name, least(name), "use_env=true")
    assert caught.value.type is CALL_INVALID


@pytest.mark.parametrize("name", NAMES)
def test_the_flag_reaches_the_policy_and_the_upstream(name: str) -> None:
    for given in (True, False):
        made = call(name, least(name, **{FLAG: given}), query(name))
        assert (made.flagged, json.loads(made.body)[FLAG]) == (given, given)
    assert call(name, least(name, **{FLAG: None}), query(name)).flagged is False
    assert odd(name, **{FLAG: "true"}) == odd(name, **{FLAG: 1}) == [f"/{FLAG}"]


@pytest.mark.parametrize("name", NAMES)
def test_an_absent_flag_is_spelled_out_but_where_the_sdk_does_not_know_it(name: str) -> None:
    made = call(name, least(name), query(name))
    assert made.flagged is False
    assert json.loads(made.body).get(FLAG) is (None if name in ("fold", "fold_all_atom", "msa") else False)


# --- lengths --------------------------------------------------------------------------------------------------------

TOO_LONG: dict[str, tuple[Json, str]] = {
    "generate": ({"inputs": {"sequence": "_" * 7}}, "/inputs/sequence"),
    "encode": ({"inputs": {"sasa": [1.0] * 7}}, "/inputs/sasa"),
    "decode": ({"inputs": {"sequence": [5] * 9}}, "/inputs/sequence"),
    "forward_and_sample": ({"inputs": {"structure": [5] * 9}}, "/inputs/structure"),
    "logits": ({"inputs": {"coordinates": [NULLS] * 9}}, "/inputs/coordinates"),
    "fold": ({"sequence": "ACDEFGH"}, "/sequence"),
    "inverse_fold": ({"coordinates": [NULLS] * 7}, "/coordinates"),
    "fold_all_atom": (
        {"all_atom_input": {"sequences": [{**CHAINS[0], "id": ["A", "B", "C", "D"]}]}},
        "/all_atom_input/sequences",
    ),
}


@pytest.mark.parametrize("name", LEAST)
def test_six_residues_fit_eight_positions_and_seven_do_not(name: str) -> None:
    eight = ParseConfig(models=RULES.models, max_tokens=8)
    assert odd(name, eight) == []
    changes, where = TOO_LONG[name]
    assert odd(name, eight, **changes) == [where]
    assert odd(name, RULES, **changes) == []


def test_an_msa_of_too_many_residues_is_refused() -> None:
    eight = ParseConfig(models={}, max_tokens=8)
    assert errors("msa", {}, "sequence=ACDEFG", eight) == []
    assert errors("msa", {}, "sequence=ACDEFGH", eight) == ["/query/sequence"]


@pytest.mark.parametrize("name", IN_LETTERS)
@pytest.mark.parametrize("track", ["secondary_structure", "sasa", "coordinates"])
def test_a_track_of_another_length_is_named(name: str, track: str) -> None:
    assert odd(name, inputs={**PROTEIN, track: PROTEIN[track][:-1]}) == [f"/inputs/{track}"]


@pytest.mark.parametrize("name", IN_TOKENS)
@pytest.mark.parametrize("track", [name for name in TOKENS if name != "sequence"])
def test_a_track_of_tokens_of_another_length_is_named(name: str, track: str) -> None:
    assert odd(name, inputs={**TOKENS, track: TOKENS[track][:-1]}) == [f"/inputs/{track}"]


def test_a_sequence_must_be_as_long_as_the_coordinates_it_is_folded_back_to() -> None:
    assert odd("inverse_fold", sequence="ACDEFG") == odd("inverse_fold", sequence=None) == []
    assert odd("inverse_fold", sequence="ACDEF") == ["/sequence"]


# --- inputs -----------------------------------------------------------------------------------------------------------


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


def test_decode_takes_the_surface_as_the_numbers_that_forward_and_sample_returned() -> None:
    areas = [0.0, 3.5, 117.25, None, 0.0]
    assert forwarded("decode", least("decode", inputs={"sasa": areas}))["inputs"]["sasa"] == areas
    assert b"[0.0,25.0,0.0]" in call("decode", least("decode", inputs={"sasa": [0.0, 25.0, 0.0]})).body
    assert b"[0,18,0]" in call("decode", least("decode", inputs={"sasa": [0, 18, 0]})).body
    assert odd("decode", inputs={"sasa": [0.0, -0.5, 0.0]}) == ["/inputs/sasa/1"]
    assert odd("decode", inputs={"sasa": [-1, 0.5, 0.0]}) == ["/inputs/sasa/0"]
    assert odd("logits", inputs={"sasa": areas}) == ["/inputs/sasa/1", "/inputs/sasa/2", "/inputs/sasa/3"]


def test_coordinates_go_upstream_as_float32_with_nulls() -> None:
    array = [[[1.23, None, -0.0]] * 37] * 6
    expected = [[[1.2300000190734863, None, 0.0]] * 37] * 6
    assert forwarded("encode", least("encode", inputs={"coordinates": array}))["inputs"]["coordinates"] == expected
    assert forwarded("inverse_fold", least("inverse_fold", coordinates=array))["coordinates"] == expected


@pytest.mark.parametrize("array", [[], "ACD", [NULLS, None], [[[0.0] * 3] * 3] * 6])
def test_what_is_no_structure_of_thirty_seven_atoms_cannot_be_folded_back(array: Any) -> None:
    assert odd("inverse_fold", coordinates=array)[0].startswith("/coordinates")


# --- configurations ---------------------------------------------------------------------------------------------------

TRACK = {"temperature": 1.0, "top_p": 1.0, "only_sample_masked_tokens": True, "invalid_ids": [], "topk_logprobs": 0}
SAE = {"models": ["layer-40"], "normalize_features": True}
SAMPLING, LOGITS, FOLDING = "sampling_config", "logits_config", "inverse_folding_config"
# endpoint, member, what is taken, what is not, and where it is not
CONFIGURED: list[tuple[str, str, Json, Json, list[str]]] = [
    ("forward_and_sample", SAMPLING, {"sequence": TRACK, "sasa": None}, {"seq": TRACK}, ["seq"]),
    ("forward_and_sample", SAMPLING, {}, {"sequence": {**TRACK, "temperature": -1}}, ["sequence/temperature"]),
    ("forward_and_sample", SAMPLING, {"function": {}}, {"sasa": {"topk_logprobs": 33}}, ["sasa/topk_logprobs"]),
    (
        "forward_and_sample",
        SAMPLING,
        {"sasa": {"top_p": 0}},
        {"sasa": {"top_p": 1.1, "p": 1}},
        ["sasa/top_p", "sasa/p"],
    ),
    (
        "forward_and_sample",
        SAMPLING,
        {"sasa": {"invalid_ids": None}},
        {"sasa": {"invalid_ids": 1}},
        ["sasa/invalid_ids"],
    ),
    ("forward_and_sample", "embedding_config", {"sequence": True}, {"per_residue": 1, "x": 1}, ["per_residue", "x"]),
    ("logits", LOGITS, {"sequence": True, "sae_config": None}, {"sequences": True}, ["sequences"]),
    ("logits", LOGITS, {"sae_config": SAE}, {"sae_config": {**SAE, "model": "x"}}, ["sae_config/model"]),
    ("logits", LOGITS, {"ith_hidden_layer": -1}, {"ith_hidden_layer": -2}, ["ith_hidden_layer"]),
    ("logits", LOGITS, {"return_mean_embedding": True}, {"return_embeddings": "true"}, ["return_embeddings"]),
    ("inverse_fold", FOLDING, {"invalid_ids": [24], "temperature": 0.1}, {"temperature": -0.1}, ["temperature"]),
    ("inverse_fold", FOLDING, {}, {"invalid_ids": ["X"], "seed": 1}, ["invalid_ids/0", "seed"]),
]


@pytest.mark.parametrize(("name", "member", "good", "bad", "where"), CONFIGURED)
def test_a_configuration_is_forwarded_as_given_or_refused_by_name(
    name: str, member: str, good: Json, bad: Json, where: list[str]
) -> None:
    for value in (good, None):
        assert forwarded(name, least(name, **{member: value}))[member] == value
    assert odd(name, **{member: bad}) == [f"/{member}/{step}" for step in where]
    assert odd(name, **{member: [good]}) == [f"/{member}"]


@pytest.mark.parametrize(
    ("member", "good", "bad"),
    [
        ("msa", [None, "KLUv/SAAAQAA", {"sequences": ["ACD", "A-D"]}], ["", "no base64!", 5, {"sequences": []}, {}]),
        ("num_sampling_steps", [1, 100, None], [0, 1.5, "100"]),
        ("num_loops", [0, 20], [-1, True]),
        ("lm_dropout", [0, 0.3, 1], [-0.1, 1.1, "0.3"]),
        ("lm_mask_pct", [0.0, None], [2]),
        ("msa_max_depth", [1024, None], [-1, 0.5]),
        ("msa_column_mask_rate", [0.1], [1.5]),
        ("include_pae", [True, False, None], [1, "no"]),
        ("include_pair_chains_iptm", [True], [0]),
        ("include_distogram", [False], ["false"]),
        ("include_embeddings", [True], [[]]),
    ],
)
def test_options_of_folding_are_forwarded_as_given_null_included(member: str, good: Any, bad: Any) -> None:
    for value in good:
        assert forwarded("fold", least("fold", **{member: value}))[member] == value
    for value in bad:
        assert odd("fold", **{member: value})[0].startswith(f"/{member}")


def test_one_parameter_of_generate_is_newer_than_the_others() -> None:
    assert (
        forwarded("generate", least("generate", only_compute_backbone_rmsd=True))["only_compute_backbone_rmsd"] is True
    )
    assert "only_compute_backbone_rmsd" not in forwarded("generate", least("generate"))
    assert odd("generate", only_compute_backbone_rmsd=1) == ["/only_compute_backbone_rmsd"]


@pytest.mark.parametrize("rules", [RULES, ParseConfig(models=RULES.models, defaults="2024-06-25")])
def test_generate_spells_its_defaults_out_as_generate_tensor_does(rules: ParseConfig) -> None:
    body = forwarded("generate", least("generate"), rules=rules)
    dated = forwarded("generate_tensor", {**least("generate"), "inputs": {"sequence": [0, *[32] * 98, 2]}}, rules=rules)
    assert unlike(body, dated) == {"inputs", "num_steps"}
    assert (body["num_steps"], dated["num_steps"]) == (6, 20 if rules is RULES else 8)
