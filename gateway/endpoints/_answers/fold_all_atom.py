"""fold_all_atom: a complex, token by token and atom by atom (esm/utils/structure/molecular_complex.py)."""

from collections.abc import Iterator
from typing import Any

from gateway.core import answer_parts
from gateway.core.answer_faults import HOLLOW
from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Members, Opened
from gateway.endpoints._answers._letters import XYZ
from gateway.endpoints._answers.fold import FOLDING

_COMPLEX: Members = {
    **dict.fromkeys(("id", "sequence", "atom_elements", "atom_names", "metadata"), "texts"),
    **dict.fromkeys(("atom_positions", "atom_hetero", "token_to_atoms", "chain_id", "plddt"), "numbers"),
}


def faults(asked: Any, answer: Opened, _: Question, __: JudgeConfig) -> Iterator[str]:
    """Hollow without residues or atoms; how many atoms they have is not in the call."""
    found = answer.get("complex")
    if not isinstance(found, dict):
        yield HOLLOW
        return
    if any(answer_parts.is_missing(found.get(name)) for name in ("sequence", "atom_positions", "token_to_atoms")):
        yield HOLLOW
        return
    names, ranges = answer_parts.texts(found["sequence"]), answer_parts.items(found["token_to_atoms"])
    atoms = answer_parts.extent(found["atom_positions"])
    if names is None or ranges is None or atoms is None or atoms.width != XYZ:
        yield "form"
    elif len(names) != len(ranges) or len(names) < _least(asked) or atoms.rows < len(names):
        yield "length"


def _least(asked: Any) -> int:
    """Residues of the polymers, each chain as often as it has ids: a ligand has one token at least."""
    chains = asked["all_atom_input"]["sequences"]
    return sum(
        (1 if isinstance(chain["id"], str) else len(chain["id"])) * len(chain.get("sequence") or "x")
        for chain in chains
    )


ANSWER = AnswerModel({**FOLDING, "complex": _COMPLEX}, faults)
