"""Callers for `bench.fairness`: thousands who always wait, and one who asks now and then.

Every call is a distinct `generate` at temperature 0.7, which no cache may answer; its price is set by its steps.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.asking import Line, LostError, Reply, address_of, request
from bench.batches_client import LOST, said
from bench.batches_upstream import letters

OPENING = 64
AGAIN_S = 0.2
LAST_S = 1.0
_NUMBERS = itertools.count()


def call(url: str, key: str, steps: int) -> bytes:
    """The bytes of a call that nobody has made before."""
    task = letters(next(_NUMBERS), steps)
    return request(url, task.target, key, task.body)


class WaitingCallers:
    """Many callers of one user, each with a connection of its own, each asking again as soon as it is answered."""

    def __init__(self, url: str, key: str, steps: int = 1) -> None:
        self._url, self._key, self._steps = url, key, steps
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Semaphore(OPENING)
        self._all_asked = asyncio.Event()
        self.asked = self.answered = 0
        self.refused: Counter[str] = Counter()

    def start(self, many: int, *, calls: int | None = None) -> None:
        """`calls`: how many each makes; None: until they are stopped."""
        self._tasks += [asyncio.create_task(self._ask(calls)) for _ in range(many)]

    async def all_asked(self) -> None:
        """Wait until every one has sent a call."""
        await self._all_asked.wait()

    async def served(self) -> None:
        """Wait until each has made its calls."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def hang_up(self, many: int | None = None) -> int:
        """So many of them (None: all), the last ones first; how many were still waiting for an answer."""
        leaving = self._tasks[-many:] if many else list(self._tasks)
        waiting = sum(not task.done() for task in leaving)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        del self._tasks[len(self._tasks) - len(leaving) :]
        return waiting

    async def _ask(self, calls: int | None) -> None:
        line: Line | None = None
        try:
            while calls is None or calls > 0:
                if line is None or line.closed:
                    async with self._opening:
                        line = await Line.open(address_of(self._url))
                self.asked += 1
                if self.asked >= len(self._tasks):
                    self._all_asked.set()
                reply = await _reply(line, call(self._url, self._key, self._steps))
                calls = calls if calls is None else calls - 1
                if reply is not None and reply.status == 200:
                    self.answered += 1
                else:
                    self.refused[LOST if reply is None else said(reply)] += 1
                    await asyncio.sleep(AGAIN_S)
        finally:
            if line is not None:
                line.close()


async def _reply(line: Line, data: bytes) -> Reply | None:
    try:
        return await line.ask(data)
    except LostError:
        return None


@dataclass(slots=True)
class Waits:
    """How long each answered call took, in seconds; refusals by type. One without an answer took so long at least."""

    seconds: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0

    @property
    def p99(self) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] if ordered else 0.0

    @property
    def median(self) -> float:
        return sorted(self.seconds)[len(self.seconds) // 2] if self.seconds else 0.0


async def now_and_then(url: str, key: str, every_s: float, seconds: float) -> Waits:
    """One call each `every_s`, each over a connection of its own so that every worker gets some, whatever becomes of
    the one before. Who has no answer a moment after the last one was asked has none."""
    waits, asking = Waits(), []
    for number in range(max(1, round(seconds / every_s))):
        if number:
            await asyncio.sleep(every_s)
        asking.append(asyncio.create_task(_one(url, key, waits)))
    await asyncio.wait(asking, timeout=max(every_s, LAST_S))
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return waits


async def _one(url: str, key: str, waits: Waits) -> None:
    line = await Line.open(address_of(url))
    began = time.monotonic()
    try:
        reply = await _reply(line, call(url, key, 1))
        if reply is None or reply.status != 200:
            waits.refused[LOST if reply is None else said(reply)] += 1
    except asyncio.CancelledError:
        waits.unanswered += 1
        raise
    finally:
        waits.seconds.append(time.monotonic() - began)
        line.close()


def total(callers: Sequence[WaitingCallers]) -> int:
    return sum(each.answered for each in callers)
