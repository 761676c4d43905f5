"""encode: the seven tracks in tokens, of those that were given in letters."""

from collections.abc import Iterator
from typing import Any

from gateway.core.answer_faults import HOLLOW
from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Opened
from gateway.core.tracks import SEQUENCE, TRACKS
from gateway.endpoints._answers._letters import coordinate_faults, ids_of
from gateway.endpoints._answers._tokens import TRACK_MEMBERS, all_exist, read_track

_GIVEN_AS_TOKENS = ("sequence", "secondary_structure", "sasa")


def faults(asked: Any, answer: Opened, question: Question, config: JudgeConfig) -> Iterator[str]:
    """Hollow where a track that was given in letters is not there in tokens."""
    outputs, n = answer.get("outputs"), question.length
    if not isinstance(outputs, dict):
        yield HOLLOW
        return
    inputs = asked["inputs"]
    for name in _GIVEN_AS_TOKENS:
        if inputs.get(name) is None:
            continue
        found = read_track(TRACKS[name], outputs.get(name), n)
        if isinstance(found, str):
            yield found
        elif not all_exist(TRACKS[name], found):
            yield "ids"
        elif name == SEQUENCE.name and config.check_echo and not _are(ids_of(inputs[name]), found[1:-1]):
            yield "echo"
    if inputs.get("coordinates") is not None:
        yield from coordinate_faults(outputs.get("coordinates"), n)


def _are(expected: Any, found: Any) -> bool:
    return all(one is None or one == other for one, other in zip(expected, found, strict=True))


ANSWER = AnswerModel({"outputs": TRACK_MEMBERS, "potential_sequence_of_concern": "numbers"}, faults)
