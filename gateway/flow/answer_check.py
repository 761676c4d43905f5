"""What an answer is worth, wherever it comes from; a large one is looked at by the reader process.

An answer in this process's memory has been judged when it came, and is not judged again.
"""

from typing import Literal, get_args

from gateway import endpoints
from gateway.core.answer_faults import UNSAFE
from gateway.core.answer_model import JudgeConfig, Judgement, Question, judge
from gateway.core.metrics import ANSWER_FAULTS
from gateway.core.types import Call
from gateway.flow.reader_queue import ReaderQueue
from gateway.ports import Meter

Source = Literal["upstream", "cache", "namespace"]
AT_ONCE_UP_TO, MARKS_AT_ONCE = 2**16, 2000
"""Bytes of call and answer together, and quotation marks in the answer: looked at within a few milliseconds."""


class AnswerCheck:
    """One worker's. `check_echo`: see `JudgeConfig`."""

    def __init__(self, reader: ReaderQueue, meter: Meter, *, check_echo: bool = True) -> None:
        self._reader, self._meter, self._check_echo = reader, meter, check_echo
        for endpoint in endpoints.ENDPOINTS:
            for source in get_args(Source):
                # The first one must be seen as a rise.
                meter.count(ANSWER_FAULTS, endpoint.name, source, UNSAFE, by=0.0)

    async def judge(self, call: Call, body: bytes, source: Source, *, warn: bool = True) -> Judgement:
        """What these bytes are worth as an answer to the call. Raises the problems of `Reader.judged`."""
        question, config = Question.of(call), JudgeConfig(self._check_echo, warn)
        if len(body) + len(call.body) <= AT_ONCE_UP_TO and body.count(b'"') <= MARKS_AT_ONCE:
            judgement = judge(endpoints.named(call.endpoint).answer, question, body, config)
        else:
            judgement = await self._reader.judged(question, body, config)
        for name in judgement.names:
            self._meter.count(ANSWER_FAULTS, call.endpoint, source, name)
        return judgement
