"""msa: aligned sequences, the one that was asked about among them."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

from gateway.core import answer_parts
from gateway.core.answer_faults import HOLLOW
from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Opened


def faults(_: Any, answer: Opened, question: Question, config: JudgeConfig) -> Iterator[str]:
    """Hollow without a sequence; columns are counted without what is inserted (lower case)."""
    part = answer.get("msa")
    if answer_parts.is_missing(part):
        yield HOLLOW
        return
    rows = answer_parts.texts(part)
    if rows is None:
        yield "form"
    elif not all(rows) or len({_columns(row) for row in rows}) > 1:
        yield "length"
    elif config.check_echo and _plain(rows[0]) != _plain(_sequence(question)):
        yield "echo"


def _sequence(question: Question) -> str:
    return parse_qs(question.target.partition("?")[2]).get("sequence", [""])[0]


def _columns(row: str) -> int:
    return sum(not letter.islower() for letter in row)


def _plain(sequence: str) -> str:
    """Without what separates chains, and without gaps."""
    return "".join(letter for letter in sequence.upper() if letter not in ":|-.")


ANSWER = AnswerModel({"msa": "texts"}, faults)
