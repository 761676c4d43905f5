"""What an endpoint answers, and what an answer is worth: fit, doubtful, unsafe or broken.

Each endpoint declares its known members and what makes an answer hollow or implausible (`gateway/endpoints`). An
*unsafe* answer holds a text where the SDK would unpickle it; it is refused wherever it comes from. A *broken* one is no
whole JSON object. A *doubtful* one is passed on with a warning and never kept: the upstream is closed and may know
better, but nobody should get it for 30 days. What is unknown passes without its texts, since a newer upstream may say
more than is known here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson

from gateway.core import answer_faults
from gateway.core.answer_faults import BROKEN, UNSAFE
from gateway.core.answer_text import WARNINGS, Members, Opened, TextFindings, UnsafeAnswer, open_members, written
from gateway.core.types import Answer, Call
from gateway.core.whole_answer import whole_members

MOST_PASSES = 4
"""Two are enough for every answer that is known."""
Verdict = Literal["fit", "doubtful", "unsafe", "broken"]


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, as far as an answer can be held against it. `length` is the number of tokens."""

    endpoint: str
    target: str
    body: bytes = field(repr=False)
    length: int

    @classmethod
    def of(cls, call: Call) -> "Question":
        return cls(call.endpoint, call.target, call.body, call.length)


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """`check_echo`: whether tracks that do not come back as sent make an answer doubtful. `warn`: whether a doubtful
    one gets its warning."""

    check_echo: bool = True
    warn: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """`faults` and `repairs` are names of `core/answer_faults.py`; `body` is what may be passed on in place of the
    answer (None: the answer itself)."""

    verdict: Verdict
    faults: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    body: bytes | None = field(default=None, repr=False)

    @property
    def passes(self) -> bool:
        return self.verdict in ("fit", "doubtful")

    def applied(self, answer: Answer) -> Answer:
        """The answer as it may be passed on."""
        doubtful = self.verdict == "doubtful"
        if self.body is None:
            return replace(answer, doubtful=True) if doubtful else answer
        return replace(answer, body=self.body, compressed=None, doubtful=doubtful)

    @property
    def names(self) -> tuple[str, ...]:
        """All that there is to count."""
        refused = () if self.passes else (self.verdict,)
        return (*refused, *self.faults, *self.repairs)


Faults = Callable[[Any, Opened, Question, JudgeConfig], Iterable[str]]
"""From the parsed body of the call, the opened answer, the question and the settings to the faults of the answer."""


@dataclass(frozen=True, slots=True)
class AnswerModel:
    """`members` are those that are known, in the object that the SDK reads. An answer is broken without an object
    `needs` among them."""

    members: Members
    faults: Faults
    needs: str = ""


def judge(model: AnswerModel, question: Question, body: bytes, config: JudgeConfig) -> Judgement:
    """What an answer is worth. A large one takes a few passes over its bytes: for the reader process."""
    repairs: dict[str, None] = {}
    left = body
    for _ in range(MOST_PASSES):
        judgement, anew = _judged(model, question, left, config)
        repairs.update(dict.fromkeys(judgement.repairs))
        if anew is None:
            passed = judgement.body or (left if judgement.passes and left is not body else None)
            return replace(judgement, repairs=tuple(repairs), body=passed)
        # What was taken out may have changed where the SDK looks, so what is left is judged itself.
        left = anew
    return Judgement(BROKEN)


def _judged(model: AnswerModel, question: Question, body: bytes, config: JudgeConfig) -> tuple[Judgement, bytes | None]:
    """A judgement; or what was taken out, and what is left to be judged."""
    members = whole_members(body)
    if members is None:
        return Judgement(BROKEN), None
    found, kinds = TextFindings(), {**model.members, WARNINGS: "warnings"}
    try:
        # Older front ends wrap the answer in "data"; the SDK reads both.
        lifted = "outputs" not in members and "data" in members
        opened = open_members(body, members, {"data": kinds} if lifted else kinds, found)
        answer = opened["data"] if lifted else opened
        if not isinstance(answer, dict) or (model.needs and not isinstance(answer.get(model.needs), dict)):
            return Judgement(BROKEN), None
        if found.rewritten:
            return Judgement("fit", repairs=tuple(found.repairs)), written(opened)
        faults = tuple(_faults(model, question, answer, found, config))
    except UnsafeAnswer:
        return Judgement(UNSAFE), None
    except (ValueError, RecursionError):
        return Judgement(BROKEN), None
    if faults and config.warn:
        answer[WARNINGS] = _with_text(answer.get(WARNINGS), answer_faults.warning(faults))
        return Judgement("doubtful", faults, (), written(opened)), None
    return Judgement("doubtful" if faults else "fit", faults), None


def _faults(
    model: AnswerModel, question: Question, answer: Opened, found: TextFindings, config: JudgeConfig
) -> list[str]:
    """Each once, in the order of the table."""
    asked: Mapping[str, Any] = orjson.loads(question.body)
    named = set(model.faults(asked, answer, question, config))
    if found.has_text:
        named.add("text")
    return [name for name in answer_faults.FAULTS if name in named]


def _with_text(part: bytes | None, text: str) -> bytes:
    given = None if part is None else orjson.loads(part)
    return orjson.dumps([*(given or ()), text])
