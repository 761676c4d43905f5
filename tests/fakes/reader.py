"""The reader process, in this one: it reads what the real one reads, and refuses what that refuses."""

from collections.abc import Mapping
from typing import Any

from gateway import endpoints
from gateway.core.answer_model import JudgeConfig, Judgement, Question, judge
from gateway.core.endpoint import ParseConfig
from gateway.core.explanation import ExplainedCall, told_of_body
from gateway.core.problems import BODY_TOO_COMPLEX, Problem
from gateway.core.types import Call


class FakeReader:
    """`ports.Reader`. What is in `too_much` takes too much time; `read` is what it was given, in order."""

    def __init__(self, rules: ParseConfig) -> None:
        self._rules = rules
        self.too_much: set[bytes] = set()
        self.read: list[tuple[str, int]] = []

    async def call(self, endpoint: str, query: str, raw: bytes) -> Call:
        self._begin("body", raw)
        return _endpoint(endpoint).parse(raw, query, self._rules)

    async def explained(
        self, endpoint: str, query: str, raw: bytes, *, in_full: bool
    ) -> tuple[Call, Mapping[str, Any]]:
        self._begin("explanation", raw)
        explained = ExplainedCall.of(_endpoint(endpoint), raw, query, self._rules)
        return explained.call, told_of_body(explained.normalized, self._rules.rule_set, in_full=in_full)

    async def judged(self, question: Question, body: bytes, config: JudgeConfig) -> Judgement:
        self._begin("answer", body)
        return judge(_endpoint(question.endpoint).answer, question, body, config)

    def _begin(self, kind: str, raw: bytes) -> None:
        self.read.append((kind, len(raw)))
        if raw in self.too_much:
            raise Problem(BODY_TOO_COMPLEX)


def _endpoint(name: str) -> endpoints.AnyEndpoint:
    return next(each for each in endpoints.ENDPOINTS if each.name == name)
