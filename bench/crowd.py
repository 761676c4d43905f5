"""Callers who hang up: many connections, each asking one question after the other, some cut off at a random moment.

Every whole answer is held against its question. What a caller may see is counted: statuses, what the cache said,
connections that the gateway ended by itself.
"""

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import orjson

from bench.asking import Cut, Line, LostError, Reply, address_of
from bench.marked import Marked, Questions
from bench.truth import fault_of

PATIENCE_S: Final = 120.0
_CACHE: Final = re.compile(rb"\r\nCache-Status: esm-gateway; ([^\r;]*)(; stored)?(; collapsed)?")
_PROBLEM: Final = re.compile(rb'"type": ?"([^"]*)"')
_STEER: Final = 5.0


@dataclass(slots=True)
class CacheStats:
    """What the crowd saw. `asked` = cancelled + answered (the sum of `statuses`) + lost + late."""

    asked: int = 0
    cancelled: int = 0
    lost: int = 0
    late: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    cache: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    misled: int = 0


class Crowd:
    """`requests` calls in all, a `cancel_share` of them cut off. With `mislead` every so-manieth answer is held against
    another question, which must be noticed: a check of the checker."""

    def __init__(self, url: str, questions: Questions, requests: int, cancel_share: float, mislead: int = 0) -> None:
        self.seen = CacheStats()
        self._address, self._questions = address_of(url), questions
        self._requests, self._cancel_share, self._mislead = requests, cancel_share, mislead
        self._chance = random.Random(requests)
        self._tracks: dict[int, int] = {}

    async def run(self, connections: int) -> CacheStats:
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._caller())
        return self.seen

    async def _caller(self) -> None:
        seen, line = self.seen, None
        while seen.asked < self._requests:
            seen.asked += 1
            if line is None or line.closed:
                line = await Line.open(self._address)
            asked = self._questions.draw()
            data = self._chance.choice(asked.requests)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    reply = await line.ask(data, self._cut(len(data)))
            except LostError:
                seen.lost += 1
                continue
            except TimeoutError:
                seen.late += 1
                line.close()
                continue
            if reply is None:
                seen.cancelled += 1
            else:
                self._answered(asked, reply)
        if line is not None:
            line.close()

    def _cut(self, length: int) -> Cut | None:
        """A moment to hang up, or none. An answer may come first, so there are tries enough to meet the share."""
        so_far = self.seen.cancelled / self.seen.asked
        share = self._cancel_share and self._cancel_share + _STEER * (self._cancel_share - so_far)
        if self._chance.random() >= share:
            return None
        when, reset = self._chance.random(), self._chance.random() < 0.5
        if when < 0.3:
            return Cut(sent=self._chance.randrange(1, length), reset=reset)
        if when < 0.7:
            return Cut(after_s=self._chance.expovariate(200), reset=reset)
        return Cut(reset=reset)

    def _answered(self, asked: Marked, reply: Reply) -> None:
        seen = self.seen
        seen.statuses[str(reply.status)] += 1
        if reply.status != 200:
            named = _PROBLEM.search(reply.body)
            seen.problems[named.group(1).decode() if named else "no problem document"] += 1
            return
        said = _CACHE.search(reply.head)
        seen.cache[(said.group(1) + (said.group(3) or b"")).decode() if said else "said nothing"] += 1
        seen.checked += 1
        if self._mislead and seen.checked % self._mislead == 0:
            seen.misled += 1
            asked = self._questions.other_than(asked)
        fault = self._fault(asked, reply.body)
        if fault is not None:
            seen.wrong[fault] += 1

    def _fault(self, asked: Marked, text: bytes) -> str | None:
        try:
            answer = orjson.loads(text)
        except orjson.JSONDecodeError:
            return "it is no JSON"
        fault = fault_of(asked.body, answer, (asked.digest,))
        if fault is None and asked.exact and len(asked.requests) > 1:
            track = hash(tuple(answer["outputs"]["sequence"]))
            if self._tracks.setdefault(asked.number, track) != track:
                return "another answer than before"
        return fault
