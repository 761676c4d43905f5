"""What reads large bodies and answers, so that the event loop does not stand still for them."""

from collections.abc import Mapping
from typing import Any, Protocol

from gateway.core.answer_model import JudgeConfig, Judgement, Question
from gateway.core.types import Call


class Reader(Protocol):
    """Reads one at a time, in the order of the calls. A call that is cancelled ends its waiting, not the reading."""

    async def call(self, endpoint: str, query: str, raw: bytes) -> Call:
        """The call that a body is. Raises the problems of `Endpoint.parse`, 422 for a body that takes too much time or
        memory, and 503 where there is nobody to read it."""
        ...

    async def explained(
        self, endpoint: str, query: str, raw: bytes, *, in_full: bool
    ) -> tuple[Call, Mapping[str, Any]]:
        """The call, and the members of its explanation that follow from the body; the same problems."""
        ...

    async def judged(self, question: Question, body: bytes, config: JudgeConfig) -> Judgement:
        """What an answer is worth (`core/answer_model.py`). Raises the problems of `call` where to tell takes too much
        time or memory, or where there is no process: these are this side's limits."""
        ...
