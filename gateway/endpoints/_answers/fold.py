"""fold: coordinates of one protein, and how confident the model is."""

from collections.abc import Iterator
from typing import Any, Final

from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Members, Opened
from gateway.core.tracks import CHAIN_BREAK_LETTER
from gateway.endpoints._answers._letters import CONFIDENCE, coordinate_faults, optional_faults

FOLDING: Final[Members] = {
    **CONFIDENCE,
    **dict.fromkeys(("distogram", "residue_index", "entity_id"), "numbers"),
    **dict.fromkeys(("output_embedding_sequence", "output_embedding_pair_pooled"), "tensor"),
}


def faults(asked: Any, answer: Opened, _: Question, __: JudgeConfig) -> Iterator[str]:
    """Hollow without coordinates."""
    residues, breaks = len(asked["sequence"]), asked["sequence"].count(CHAIN_BREAK_LETTER)
    yield from coordinate_faults(answer.get("coordinates"), residues, breaks)
    yield from optional_faults(answer.get("plddt"), residues, breaks)


ANSWER = AnswerModel({**FOLDING, "coordinates": "numbers"}, faults)
