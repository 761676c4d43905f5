"""The odd ones among the SDK's calls, complexes and alignments; and what each of the calls costs."""

import json
from typing import Any

import pytest

from gateway.core.endpoint import ParseConfig
from gateway.core.problems import CALL_INVALID, Problem
from tests.endpoints.examples import COORDINATES, ESM3, ESMC, FLAG, NULLS, RULES, TOKENS, Json, call, errors, forwarded

PROTEIN: Json = {"type": "protein", "id": "A", "sequence": "ACDEF", "msa": None}
RNA: Json = {"type": "rna", "id": ["B", "C"], "sequence": "ACGU", "modifications": [{"position": 1, "ccd": "5MC"}]}
DNA: Json = {"type": "dna", "id": "D", "sequence": "ACGT"}
SMILES: Json = {"type": "ligand", "id": "E", "smiles": "CC(=O)O", "ccd": None}
CCD: Json = {"type": "ligand", "id": ["F", "G", "H"], "smiles": None, "ccd": ["ATP", "MG"]}
BOND = {"chain_id1": "A", "res_idx1": 0, "atom_idx1": 3, "chain_id2": "E", "res_idx2": 0, "atom_idx2": 1}
WHOLE: Json = {
    "sequences": [PROTEIN, RNA, DNA, SMILES, CCD],
    "covalent_bonds": [BOND],
    "pocket": {"binder_chain_id": "E", "contacts": [["A", 1], ["A", 4]]},
    "distogram_conditioning": [{"chain_id": "A", "distogram": [[0, 1.5], [1.5, 0]]}],
}
AT = "/all_atom_input"


def complex_(*chains: Json, **parts: Any) -> Json:
    return {"model": ESM3, "all_atom_input": {"sequences": list(chains), **parts}}


def test_every_part_of_a_complex_is_forwarded_as_given() -> None:
    asked = {"model": ESM3, "all_atom_input": WHOLE, "num_loops": 3, "include_pae": True}
    assert forwarded("fold_all_atom", asked) == asked


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"type": "peptide"}, ["/type"]),
        ({"type": None}, ["/type"]),
        ({"id": None}, ["/id"]),
        ({"id": []}, ["/id"]),
        ({"id": ""}, ["/id"]),
        ({"id": ["A", 5]}, ["/id", "/id/1"]),
        ({"sequence": "A C"}, ["/sequence"]),
        ({"sequence": ""}, ["/sequence"]),
        ({"sequence": None}, [""]),
        ({"smiles": "CC"}, ["/smiles"]),
        ({"ccd": ["ATP"]}, ["/ccd"]),
        ({"type": "ligand"}, ["/sequence", ""]),
        ({"msa": "no base64!"}, ["/msa"]),
        ({"modifications": [{"position": -1, "ccd": "X"}]}, ["/modifications/0/position"]),
        ({"modifications": [{"position": 1}]}, ["/modifications/0/ccd"]),
        ({"point": 1}, ["/point"]),
    ],
)
def test_a_faulty_chain_is_refused_by_name(change: Json, where: list[str]) -> None:
    asked = complex_(DNA, {**PROTEIN, **change})
    assert set(errors("fold_all_atom", asked)) == {f"{AT}/sequences/1{step}" for step in where}


@pytest.mark.parametrize("chain", [{**SMILES, "smiles": None}, {**CCD, "ccd": None}, {**SMILES, "msa": "AAAA"}])
def test_a_ligand_has_smiles_or_components_and_nothing_of_a_polymer(chain: Json) -> None:
    (where,) = errors("fold_all_atom", complex_(chain))
    assert where == f"{AT}/sequences/0" + ("/msa" if chain.get("msa") else "")


@pytest.mark.parametrize(
    ("part", "value", "where"),
    [
        ("covalent_bonds", [{**BOND, "res_idx1": -1}], "/0/res_idx1"),
        ("covalent_bonds", [{**BOND, "order": 1}], "/0/order"),
        ("covalent_bonds", {}, ""),
        ("pocket", {"contacts": []}, "/binder_chain_id"),
        ("pocket", {"binder_chain_id": "A", "contacts": [["A", "1"]]}, "/contacts/0/1"),
        ("pocket", {"binder_chain_id": "A", "contacts": [["A"]]}, "/contacts/0/1"),
        ("distogram_conditioning", [{"chain_id": "A", "distogram": [["1"]]}], "/0/distogram"),
        ("distogram_conditioning", [{"chain_id": "A", "distogram": [[1], [1, 2]]}], "/0/distogram"),
        ("distogram_conditioning", [{"chain_id": "A", "distogram": [[True]]}], "/0/distogram"),
        ("distogram_conditioning", [{"chain_id": "A", "distogram": [[None]]}], "/0/distogram"),
        ("distogram_conditioning", [{"chain_id": "A", "distogram": None}], "/0/distogram"),
        ("distogram_conditioning", [{"chain_id": "A", "distogram": 5}], "/0/distogram"),
        ("distogram_conditioning", [{"chain_id": "A"}], "/0/distogram"),
        ("templates", None, ""),
    ],
)
def test_a_faulty_part_of_a_complex_is_refused_by_name(part: str, value: Any, where: str) -> None:
    assert errors("fold_all_atom", complex_(PROTEIN, **{part: value})) == [f"{AT}/{part}{where}"]


@pytest.mark.parametrize("depth", [40, 70, 200])
def test_a_deep_distogram_is_refused_in_words(depth: int) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    parts = [{"chain_id": "A", "distogram": deep}]
    found = errors("fold_all_atom", complex_(PROTEIN, distogram_conditioning=parts))
    assert found == ([f"{AT}/distogram_conditioning/0/distogram"] if depth > 64 else [])


def test_a_complex_has_a_chain() -> None:
    assert errors("fold_all_atom", complex_()) == [f"{AT}/sequences"]


def test_an_empty_sequence_name_tells_nothing_of_the_sequence() -> None:
    with pytest.raises(Problem) as caught:
        call(
            "fold_all_atom", complex_({**PROTEIN, "type": "MKTAYIAK", "sequence": "MKTAYIAK 1", "id": {"MKTAY IAK": 1}})
        )
    assert "MKTAY" not in str(caught.value.document("r"))


# --- msa --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("sequence=ACD%3AEFG&use_env=false", "sequence=ACD%3AEFG&use_env=false"),
        ("use_env=True&sequence=ACD:EFG", "sequence=ACD%3AEFG&use_env=true"),
        ("sequence=ACD%7CEFG", "sequence=ACD%7CEFG"),
        ("sequence=%41%43&use_env=False", "sequence=AC&use_env=false"),
    ],
)
def test_the_query_of_msa_is_written_anew(query: str, target: str) -> None:
    made = call("msa", {}, query)
    assert (made.target, made.body, made.model) == (f"/api/v1/msa?{target}", b"{}", "msa")


def test_two_spellings_of_one_alignment_are_one_call_and_two_sequences_are_two() -> None:
    one = call("msa", {}, "sequence=AC%3AD&use_env=false")
    assert call("msa", {}, "use_env=False&sequence=AC:D").canonical_digest == one.canonical_digest
    assert call("msa", {}, "use_env=false&sequence=AC:E").canonical_digest != one.canonical_digest


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("", "/query/sequence"),
        ("use_env=true", "/query/sequence"),
        ("sequence=", "/query/sequence"),
        ("sequence=A%20C", "/query/sequence"),
        ("sequence=AC%0D%0AX", "/query/sequence"),
        ("sequence=AC%26use_env=true", "/query/sequence"),
        ("sequence=AC&use_env=1", "/query/use_env"),
        ("sequence=AC&use_env=", "/query/use_env"),
        ("sequence=AC&model=x", "/query/model"),
    ],
)
def test_a_faulty_query_of_msa_is_refused_by_name(query: str, where: str) -> None:
    assert errors("msa", {}, query) == [where]


def test_a_repeated_parameter_is_refused() -> None:
    with pytest.raises(Problem) as caught:
        call("msa", {}, "sequence=AC&sequence=DE")
    assert caught.value.kind is CALL_INVALID


def test_msa_runs_no_model_of_the_settings() -> None:
    assert errors("msa", {"model": ESM3}, "sequence=AC") == ["/model"]
    assert call("msa", {}, "sequence=AC", ParseConfig(models={})).units == 4
    assert json.loads(call("msa", {FLAG: True}, "sequence=AC").body) == {FLAG: True}


# --- costs ------------------------------------------------------------------------------------------------------------


def generated(track: str, **changes: Any) -> Json:
    inputs = {"sequence": "AC_E__", "secondary_structure": "______"}
    return {"model": ESM3, "track": track, "inputs": inputs, **changes}


# endpoint, body, positions, passes over them
BILLS: list[tuple[str, Json, int, int]] = [
    ("encode", {"model": ESM3, "inputs": {"sequence": "ACDEFG"}}, 8, 1),
    ("encode", {"model": ESM3, "inputs": {"coordinates": COORDINATES}}, 8, 1),
    ("encode", {"model": ESM3, "inputs": {"sequence": "ACD|EFGH"}}, 10, 1),
    ("decode", {"model": ESM3, "inputs": TOKENS}, 8, 1),
    ("forward_and_sample", {"model": ESM3, "inputs": TOKENS}, 8, 1),
    ("logits", {"model": ESM3, "inputs": {"sequence": [0, *[5] * 98, 2]}}, 100, 1),
    ("fold", {"model": ESM3, "sequence": "A" * 98}, 100, 1),
    ("inverse_fold", {"model": ESM3, "coordinates": [NULLS] * 18}, 20, 1),
    # the masked letters of the sequence, at most num_steps
    ("generate", generated("sequence"), 8, 3),
    ("generate", generated("sequence", num_steps=2), 8, 2),
    ("generate", generated("sequence", num_steps=100), 8, 3),
    # no masked letter, no sequence, another track: every residue
    ("generate", {**generated("sequence"), "inputs": {"sequence": "ACDEFG"}}, 8, 6),
    ("generate", {**generated("sequence"), "inputs": {"coordinates": COORDINATES}}, 8, 6),
    ("generate", generated("structure"), 8, 6),
    ("generate", generated("secondary_structure", num_steps=4), 8, 4),
    ("generate", {**generated("sequence"), "inputs": {"sequence": "_" * 98}}, 100, 20),
    # the sum of the chains, each as often as it has ids
    ("fold_all_atom", complex_(PROTEIN), 5, 1),
    ("fold_all_atom", complex_(PROTEIN, RNA, DNA), 5 + 2 * 4 + 4, 1),
    ("fold_all_atom", complex_(SMILES), 7, 1),
    ("fold_all_atom", {"model": ESM3, "all_atom_input": WHOLE}, 5 + 2 * 4 + 4 + 7 + 3 * 2, 1),
]


@pytest.mark.parametrize(("name", "body", "n", "passes"), BILLS)
def test_units_are_positions_times_passes_times_the_weight_of_the_model(
    name: str, body: Json, n: int, passes: int
) -> None:
    made = call(name, body)
    assert (made.length, made.units) == (n, n * passes)
    heavy = ParseConfig(models={ESM3: 3.0})
    assert call(name, body, rules=heavy).units == 3 * n * passes
    assert call(name, {**body, "model": ESMC}).units == max(1, round(n * passes * RULES.models[ESMC]))


def test_the_bills_cover_every_endpoint_with_a_model() -> None:
    assert len({name for name, _, _, _ in BILLS}) == 8
