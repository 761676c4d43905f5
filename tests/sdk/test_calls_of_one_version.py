"""Calls that only one of the two SDK versions can make: alignments in 3.2, complexes in 3.4."""

from esm.sdk.forge import SequenceStructureForgeInferenceClient as Fold

from tests.sdk.likeness import content, outline
from tests.sdk.prompts import protein
from tests.sdk.tape import Tape

Folders = tuple[Fold, Fold]

if hasattr(Fold, "_fetch_msa"):

    def test_an_alignment_is_the_same_through_the_gateway(folders: Folders, tape: Tape) -> None:
        sequence = protein("ubiquitin").sequence
        through, straight = (one._fetch_msa(sequence) for one in folders)
        assert through.sequences[0] == sequence
        assert content(through) == content(straight)
        assert "fwd=bypass" in tape[0].cache


if hasattr(Fold, "fold_all_atom"):
    from esm.utils.structure.input_builder import (
        DNAInput,
        LigandInput,
        ProteinInput,
        StructurePredictionInput,
    )

    def test_a_complex_folds_as_without_the_gateway(folders: Folders, tape: Tape) -> None:
        chains = StructurePredictionInput(
            sequences=[
                ProteinInput(id=["A", "B"], sequence=protein("insulin").sequence),
                DNAInput(id="C", sequence="GATTACA"),
                LigandInput(id="D", ccd=["HEM"]),
            ]
        )
        through, straight = (one.fold_all_atom(chains) for one in folders)
        assert type(through).__name__ == "MolecularComplexResult"
        assert outline(through) == outline(straight)
        assert content(through) == content(straight)
        assert "fwd=bypass" in tape[0].cache
