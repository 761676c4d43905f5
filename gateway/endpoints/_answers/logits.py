"""logits: numbers for every token, and of every layer or the one that was asked for.

The SDK unpickles a text in any of these members, whatever it asked for (esm/sdk/forge.py, _process_logits_response). A
hosted ESM C is said there to send `sae_outputs` as such a text always: that answer is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.core import answer_parts
from gateway.core.answer_faults import HOLLOW
from gateway.core.answer_model import AnswerModel, JudgeConfig, Question
from gateway.core.answer_text import Opened
from gateway.core.tracks import GENERATED, TRACKS

# Asked for, answered as.
_PER_TOKEN = {"return_embeddings": "embeddings", "return_hidden_states": "hidden_states"}
_MEANS = {"return_mean_embedding": "mean_embedding", "return_mean_hidden_states": "mean_hidden_state"}
_MEMBERS = (*_PER_TOKEN.values(), *_MEANS.values(), "logits", "sae_outputs")


def faults(asked: Any, answer: Opened, question: Question, _: JudgeConfig) -> Iterator[str]:
    """Hollow where something that was asked for is not there."""
    options, n = asked.get("logits_config") or {}, question.length
    part = answer.get("logits")
    heads: Mapping[str, Any] = part if isinstance(part, dict) else {}
    for name in GENERATED:
        if options.get(name):
            yield from _size_faults(heads.get(name), n * (TRACKS[name].depth or 1))
    if options.get("residue_annotations"):
        yield from _size_faults(heads.get("residue_annotations", heads.get("residue_annotation")), n)
    for option, name in _PER_TOKEN.items():
        if options.get(option):
            yield from _size_faults(answer.get(name), n)
    for option, name in _MEANS.items():
        if options.get(option):
            yield from _size_faults(answer.get(name), 1)
    if not _holds_something(answer):
        yield HOLLOW


def _size_faults(part: Any, rows: int) -> Iterator[str]:
    size = answer_parts.extent(part)
    if answer_parts.is_missing(part):
        yield HOLLOW
    elif size is None:
        yield "form"
    elif size.rows % rows:
        yield "length"


def _holds_something(answer: Mapping[str, Any]) -> bool:
    return any(name in answer for name in _MEMBERS)


ANSWER = AnswerModel(dict.fromkeys(_MEMBERS, "tensor"), faults)
