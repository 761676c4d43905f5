"""generate: a protein in letters under `outputs`, one track of it generated."""

from collections.abc import Iterator
from typing import Any

from gateway.core.answer_faults import HOLLOW
from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Opened
from gateway.core.tracks import CHAIN_BREAK_LETTER
from gateway.endpoints._answers._letters import (
    PROTEIN,
    coordinate_faults,
    given_faults,
    item_faults,
    keeps_letters,
    letter_faults,
    optional_faults,
)

ENDS = 2  # BOS and EOS


def faults(asked: Any, answer: Opened, question: Question, config: JudgeConfig) -> Iterator[str]:
    """Hollow without the generated track. Generated functions may be none at all."""
    outputs = answer.get("outputs")
    if not isinstance(outputs, dict):
        yield HOLLOW
        return
    track, residues, sequence = asked["track"], question.length - ENDS, asked["inputs"].get("sequence")
    if track in ("sequence", "secondary_structure"):
        yield from letter_faults(track, outputs.get(track), residues)
    elif track == "structure":
        breaks = (sequence or "").count(CHAIN_BREAK_LETTER)
        yield from coordinate_faults(outputs.get("coordinates"), residues, breaks)
        yield from optional_faults(outputs.get("plddt"), residues, breaks)
    elif track == "sasa":
        yield from item_faults(outputs.get("sasa"), residues)
    elif sequence is not None:
        # There may be no function at all, but not the rest of the protein.
        yield from given_faults(outputs.get("sequence"), residues)
    if config.check_echo and not keeps_letters(sequence, outputs.get("sequence")):
        yield "changed" if track == "sequence" else "echo"


ANSWER = AnswerModel({"outputs": PROTEIN}, faults)
