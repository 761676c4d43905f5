"""inverse_fold: one sequence, as long as the structure."""

from collections.abc import Iterator
from typing import Any

from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Opened
from gateway.endpoints._answers._letters import keeps_letters, letter_faults


def faults(asked: Any, answer: Opened, _: Question, config: JudgeConfig) -> Iterator[str]:
    """Hollow without a sequence; letters that were given stay."""
    part = answer.get("sequence")
    yield from letter_faults("sequence", part, len(asked["coordinates"]))
    if config.check_echo and not keeps_letters(asked.get("sequence"), part):
        yield "changed"


ANSWER = AnswerModel({"sequence": "texts"}, faults)
