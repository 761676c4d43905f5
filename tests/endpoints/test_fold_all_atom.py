"""fold_all_atom: chains, bonds, pockets and distograms, and what a complex costs."""

from typing import Any

import pytest

from gateway.core.problems import Problem
from tests.endpoints.alignments import packed, rows
from tests.endpoints.examples import ESM3, Example, Json, call, errors, forwarded

POLYMER: Json = {"type": "protein", "id": "A", "sequence": "ACDEF", "msa": None}
RNA: Json = {"type": "rna", "id": ["B", "C"], "sequence": "ACGU", "modifications": [{"position": 1, "ccd": "5MC"}]}
DNA: Json = {"type": "dna", "id": "D", "sequence": "ACGT"}
SMILES: Json = {"type": "ligand", "id": "E", "smiles": "CC(=O)O", "ccd": None}
CCD: Json = {"type": "ligand", "id": ["F", "G", "H"], "smiles": None, "ccd": ["ATP", "MG"]}
BOND = {"chain_id1": "A", "res_idx1": 0, "atom_idx1": 3, "chain_id2": "E", "res_idx2": 0, "atom_idx2": 1}
WHOLE: Json = {
    "sequences": [POLYMER, RNA, DNA, SMILES, CCD],
    "covalent_bonds": [BOND],
    "pocket": {"binder_chain_id": "E", "contacts": [["A", 1], ["A", 4]]},
    "distogram_conditioning": [{"chain_id": "A", "distogram": [[0, 1.5], [1.5, 0]]}],
}
DEEP: Json = {**POLYMER, "msa": packed({"sequences": rows(8192, 5)})}
AT = "/all_atom_input"


def chains(*given: Json, **parts: Any) -> Json:
    return {"all_atom_input": {"sequences": list(given), **parts}}


def complex_(*given: Json, **parts: Any) -> Json:
    return {"model": ESM3, **chains(*given, **parts)}


EXAMPLE = Example(
    complex_({"type": "protein", "id": "A", "sequence": "ACDEFG", "msa": None}),
    bills=(
        # the sum of the chains, each as often as it has ids
        (chains(POLYMER), 5, 1),
        (chains(POLYMER, RNA, DNA), 5 + 2 * 4 + 4, 1),
        (chains(SMILES), 7, 1),
        ({"all_atom_input": WHOLE}, 5 + 2 * 4 + 4 + 7 + 3 * 2, 1),
        # the options and alignments of all chains multiply it as they do for fold
        ({"num_loops": 41, "num_sampling_steps": 300}, 6, 4),
        ({**chains(DEEP, {**DEEP, "id": "B"}), "msa_max_depth": None}, 10, 2),
        ({**chains(DEEP, {**DEEP, "id": "B"}), "msa_max_depth": 8192, "num_loops": 41}, 10, 3),
    ),
    too_long=(chains({**POLYMER, "sequence": "AG", "id": ["A", "B", "C", "D"]}), "/all_atom_input/sequences"),
    sdk=("341",),
    flag=None,
)


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
        ({"msa": "AAAA"}, ["/msa"]),
        ({"modifications": [{"position": -1, "ccd": "X"}]}, ["/modifications/0/position"]),
        ({"modifications": [{"position": 1}]}, ["/modifications/0/ccd"]),
        ({"point": 1}, ["/point"]),
    ],
)
def test_a_faulty_chain_is_refused_by_name(change: Json, where: list[str]) -> None:
    asked = complex_(DNA, {**POLYMER, **change})
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
    assert errors("fold_all_atom", complex_(POLYMER, **{part: value})) == [f"{AT}/{part}{where}"]


@pytest.mark.parametrize("depth", [40, 70, 200])
def test_a_deep_distogram_is_refused_in_words(depth: int) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    parts = [{"chain_id": "A", "distogram": deep}]
    found = errors("fold_all_atom", complex_(POLYMER, distogram_conditioning=parts))
    assert found == ([f"{AT}/distogram_conditioning/0/distogram"] if depth > 64 else [])


def test_a_complex_has_a_chain() -> None:
    assert errors("fold_all_atom", complex_()) == [f"{AT}/sequences"]


def test_an_empty_sequence_name_tells_nothing_of_the_sequence() -> None:
    with pytest.raises(Problem) as caught:
        call(
            "fold_all_atom", complex_({**POLYMER, "type": "MKTAYIAK", "sequence": "MKTAYIAK 1", "id": {"MKTAY IAK": 1}})
        )
    assert "MKTAY" not in str(caught.value.document("r"))
