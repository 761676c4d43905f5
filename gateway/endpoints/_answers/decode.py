"""decode: the protein behind the tokens, in letters, under `outputs`."""

from collections.abc import Iterator
from typing import Any

from gateway.core import answer_parts
from gateway.core.answer_faults import HOLLOW
from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Opened
from gateway.core.tracks import SEQUENCE, SEQUENCE_LETTERS, SEQUENCE_OFFSET, STRUCTURE, masked_positions
from gateway.endpoints._answers._letters import PROTEIN, coordinate_faults, optional_faults

ENDS = 2  # BOS and EOS
_WRITTEN = range(SEQUENCE_OFFSET, SEQUENCE_OFFSET + len(SEQUENCE_LETTERS))


def faults(asked: Any, answer: Opened, question: Question, config: JudgeConfig) -> Iterator[str]:
    """Hollow where tokens were given and their letters, or the atoms behind a whole structure, are not there."""
    outputs, residues = answer.get("outputs"), question.length - ENDS
    if not isinstance(outputs, dict) or all(answer_parts.is_missing(part) for part in outputs.values()):
        yield HOLLOW
        return
    sequence, structure = asked["inputs"].get("sequence"), asked["inputs"].get("structure")
    breaks = 0 if sequence is None else sequence.count(SEQUENCE.chain_break)
    if sequence is not None:
        yield from _sequence_faults(sequence[1:-1], outputs.get("sequence"), config)
    if (structure is not None and _is_whole(structure)) or not answer_parts.is_null(outputs.get("coordinates")):
        yield from coordinate_faults(outputs.get("coordinates"), residues, breaks)
    yield from optional_faults(outputs.get("plddt"), residues, breaks)


def _sequence_faults(inner: list[int], part: Any, config: JudgeConfig) -> Iterator[str]:
    if answer_parts.is_missing(part):
        yield HOLLOW
        return
    letters = answer_parts.text(part)
    if letters is None:
        yield "form"
    elif not all(token in _WRITTEN or token == SEQUENCE.mask for token in inner):
        return  # the words of other special tokens are longer than a letter
    elif len(letters) != len(inner):
        yield "length"
    elif config.check_echo and any(
        token in _WRITTEN and SEQUENCE_LETTERS[token - SEQUENCE_OFFSET] != letter
        for token, letter in zip(inner, letters, strict=True)
    ):
        yield "echo"


def _is_whole(structure: list[int]) -> bool:
    """Whether every residue has a structure token: only then are there atoms (esm/utils/decoding.py)."""
    return masked_positions(STRUCTURE, structure) == 0 and -1 not in structure


ANSWER = AnswerModel({"outputs": PROTEIN}, faults)
