"""A batch client that tries each task ten times without a pause, as the SDK's does, over connections of its own.

The rules are those of `ForgeBatchExecutor` (esm 3.2.1, esm/utils/forge_context_manager.py) and `ForgeParallelExecutor`
(3.4.1): 32 calls at once, one more after each round of answers, half after a 429, and no look at Retry-After. A lost
connection fails its task at once. It needs no torch, so it can be run anywhere, and with a thousand tasks.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from bench.asking import Line, LostError, Reply, address_of, request

AT_ONCE_FIRST: Final = 32
TRIES: Final = 10
LOST: Final = "lost"


@dataclass(frozen=True, slots=True)
class Release:
    """What differs between releases of the SDK: the statuses that are tried again, and the most calls at once."""

    retried: frozenset[int]
    at_once: int


RELEASES: Final = {
    "3.2": Release(frozenset({429, 502, 504}), 512),
    "3.4": Release(frozenset({429, 500, 502, 503, 504}), 64),
}


@dataclass(frozen=True, slots=True)
class BatchTask:
    """One call of a batch: its path and its body."""

    target: str
    body: bytes


@dataclass(slots=True)
class BatchStats:
    """What a batch met. `failed` counts tasks by what they were answered last, `problems` refusals by their type."""

    tasks: int
    failed: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    tries: Counter[int] = field(default_factory=Counter)
    at_once: int = 0
    seconds: float = 0.0


class BatchClient:
    """One person's batch: `run` it once."""

    def __init__(self, url: str, key: str, release: Release) -> None:
        self._url, self._key, self._release = url, key, release
        self._limit = AT_ONCE_FIRST
        self._free: list[Line] = []
        self._answers: asyncio.Queue[tuple[BatchTask, int, Reply | None]] = asyncio.Queue()

    async def run(self, tasks: Sequence[BatchTask]) -> BatchStats:
        stats, began = BatchStats(len(tasks)), time.monotonic()
        waiting = deque((task, 1) for task in tasks)
        in_flight = 0
        async with asyncio.TaskGroup() as group:
            while waiting or in_flight:
                while waiting and in_flight < self._limit:
                    group.create_task(self._try(*waiting.popleft()))
                    in_flight += 1
                stats.at_once = max(stats.at_once, in_flight)
                answers = [await self._answers.get()]
                while not self._answers.empty():
                    answers.append(self._answers.get_nowait())
                in_flight -= len(answers)
                self._judge(answers, stats, waiting)
        for line in self._free:
            line.close()
        stats.seconds = time.monotonic() - began
        return stats

    def _judge(
        self,
        answers: Sequence[tuple[BatchTask, int, Reply | None]],
        stats: BatchStats,
        waiting: deque[tuple[BatchTask, int]],
    ) -> None:
        was_limited = False
        for task, tries, reply in answers:
            status = reply.status if reply is not None else 0
            told = said(reply)
            stats.statuses[str(status) if status else LOST] += 1
            if status == 200:
                stats.tries[tries] += 1
                continue
            stats.problems[told] += 1
            if status in self._release.retried and tries < TRIES:
                waiting.append((task, tries + 1))
                was_limited |= status == 429
            else:
                stats.tries[tries] += 1
                stats.failed[told] += 1
        # Once for all answers of a round, as the SDK does: after one future or after many.
        self._limit = max(1, self._limit // 2) if was_limited else min(self._release.at_once, self._limit + 1)

    async def _try(self, task: BatchTask, tries: int) -> None:
        reply: Reply | None = None
        try:
            line = await self._line()
            reply = await line.ask(request(self._url, task.target, self._key, task.body))
            if not line.closed:
                self._free.append(line)
        except (LostError, OSError):
            pass
        self._answers.put_nowait((task, tries, reply))

    async def _line(self) -> Line:
        while self._free:
            line = self._free.pop()
            if not line.closed:
                return line
        return await Line.open(address_of(self._url))


def said(reply: Reply | None) -> str:
    """The type of a refusal, or its status where it is no problem document of the gateway."""
    if reply is None:
        return LOST
    try:
        return str(orjson.loads(reply.body)["type"]).rpartition(":")[2]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return str(reply.status)
