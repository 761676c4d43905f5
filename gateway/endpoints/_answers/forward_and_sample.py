"""forward_and_sample: for each sampled track its tokens and their likelihoods, and embeddings where asked for."""

from collections.abc import Iterator
from typing import Any

from gateway.core import answer_parts
from gateway.core.answer_faults import HOLLOW
from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Opened
from gateway.core.tracks import GENERATED, SASA, SEQUENCE, TRACKS
from gateway.endpoints._answers._tokens import all_exist, mask_of, read_track

_NUMBERS = ("tokens", "logprobs", "entropy", "topk_logprobs", "topk_tokens")


def faults(asked: Any, answer: Opened, question: Question, _: JudgeConfig) -> Iterator[str]:
    """Hollow where a track or an embedding that was asked for is not there."""
    sampling, n = asked.get("sampling_config") or {}, question.length
    for name in GENERATED:
        if sampling.get(name) is not None:
            yield from _track_faults(name, answer.get(name), n)
    yield from _embedding_faults(asked.get("embedding_config") or {}, answer.get("embeddings"), n)


def _track_faults(name: str, part: Any, n: int) -> Iterator[str]:
    if not isinstance(part, dict) or answer_parts.is_missing(part.get("tokens")):
        yield HOLLOW
        return
    track, tokens = TRACKS[name], part["tokens"]
    if track == SASA:
        # An expectation, not a token (esm/utils/sampling.py).
        yield from () if _length(tokens) == n else ("length",)
        return
    found = read_track(track, tokens, n)
    if isinstance(found, str):
        yield found
        return
    if not all_exist(track, found):
        yield "ids"
    if track == SEQUENCE and mask_of(track) in found[1:-1]:
        yield "masked"
    for member in ("logprobs", "entropy"):
        if not answer_parts.is_null(part.get(member)) and _length(part[member]) != n:
            yield "length"


def _embedding_faults(asked: Any, part: Any, n: int) -> Iterator[str]:
    given = part if isinstance(part, dict) else {}
    for name, rows in (("sequence", 1), ("per_residue", n)):
        if not asked.get(name):
            continue
        size = answer_parts.extent(given.get(name))
        if answer_parts.is_missing(given.get(name)):
            yield HOLLOW
        elif size is None:
            yield "form"
        elif size.rows != rows:
            yield "length"


def _length(part: Any) -> int | None:
    found = answer_parts.items(part)
    return None if found is None else len(found)


ANSWER = AnswerModel(
    {**{name: dict.fromkeys(_NUMBERS, "numbers") for name in GENERATED}, "embeddings": "tensor"}, faults
)
