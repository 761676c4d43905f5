"""Turns at the worker's reader process: users share it by bytes, so a large body of one delays another's by one job.

How many wait is bounded by what is in flight: bodies by the budget of `body_budget.py`, answers by the places at the
upstream. Who hangs up waits no longer.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.core.answer_model import JudgeConfig, Judgement, Question
from gateway.core.fair_queue import FairQueue
from gateway.core.metrics import READER_WAITING
from gateway.core.types import Call
from gateway.ports import Meter, Reader

NOBODY = ""
"""Answers are of nobody: their computation knows no caller. Together they have the share of one user."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One job that waits or is being read; `come` is done when its turn has come."""

    user: str
    cost: int
    come: "asyncio.Future[None]"


class ReaderQueue:
    """One job at a time; the next one is that of the user who has had the least."""

    def __init__(self, reader: Reader, meter: Meter) -> None:
        self._reader, self._meter = reader, meter
        self._waiting: FairQueue[Turn] = FairQueue(lambda _: 1.0)
        self._serving: Turn | None = None

    async def call(self, user: str, endpoint: str, query: str, raw: bytes) -> Call:
        """The call that a body is; the problems of `Reader.call`."""
        async with self._turn(user, len(raw)):
            return await self._reader.call(endpoint, query, raw)

    async def explained(
        self, user: str, endpoint: str, query: str, raw: bytes, *, in_full: bool
    ) -> tuple[Call, Mapping[str, Any]]:
        """The call, and what its explanation says of the body; the problems of `Reader.explained`."""
        async with self._turn(user, len(raw)):
            return await self._reader.explained(endpoint, query, raw, in_full=in_full)

    async def judged(self, question: Question, body: bytes, config: JudgeConfig) -> Judgement:
        """What an answer is worth; the problems of `Reader.judged`."""
        async with self._turn(NOBODY, len(body) + len(question.body)):
            return await self._reader.judged(question, body, config)

    @asynccontextmanager
    async def _turn(self, user: str, cost: int) -> AsyncIterator[None]:
        turn = Turn(user, cost, asyncio.get_running_loop().create_future())
        if self._serving is None:
            self._serving = turn
        else:
            await self._wait(turn, self._serving)
        try:
            yield
        finally:
            self._next()

    async def _wait(self, turn: Turn, serving: Turn) -> None:
        if len(self._waiting):
            self._waiting.add(turn.user, turn, turn.cost)
        else:
            # An empty queue forgets who had a turn; what is being read counts.
            self._waiting.add(serving.user, serving, serving.cost)
            self._waiting.add(turn.user, turn, turn.cost)
            self._waiting.take(lambda _: serving)
        self._show()
        try:
            await turn.come
        except asyncio.CancelledError:
            if turn.come.done() and not turn.come.cancelled():
                self._next()  # its turn came in the same moment
            self._waiting.remove(turn.user, turn)
            self._show()
            raise

    def _next(self) -> None:
        self._serving = self._waiting.take(lambda user: self._waiting.first(user, 1)[0])
        if self._serving is not None:
            self._serving.come.set_result(None)
            self._show()

    def _show(self) -> None:
        self._meter.gauge(READER_WAITING, len(self._waiting))
