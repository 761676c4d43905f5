"""generate_tensor: seven tracks under `outputs`, of which one was generated and six are given back."""

from collections.abc import Iterator
from typing import Any

from gateway.core.answer_echo import is_echoed
from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Opened
from gateway.core.tracks import TRACKS
from gateway.endpoints._answers._tokens import TRACK_MEMBERS, generated_faults


def faults(asked: Any, answer: Opened, question: Question, config: JudgeConfig) -> Iterator[str]:
    """Hollow without the generated track; doubtful if it, or a track that was sent, is not what it must be."""
    outputs, track = answer["outputs"], TRACKS[asked["track"]]
    yield from generated_faults(track, asked, outputs.get(track.name), question.length, check_echo=config.check_echo)
    only = asked["condition_on_coordinates_only"]
    if config.check_echo and not is_echoed(asked["inputs"], outputs, track.name, only):
        yield "echo"


ANSWER = AnswerModel({"outputs": TRACK_MEMBERS}, faults, needs="outputs")
