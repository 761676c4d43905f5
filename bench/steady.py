"""An open loop: so many requests a second whether or not the last ones are answered, as many people would send them.

A connection that is free is taken; where none is, one more is opened. Nothing is cut off and every answer is checked.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Final

import orjson

from bench.asking import Line, LostError, Reply, address_of
from bench.marked import Marked, Questions
from bench.truth import fault_of

_HIT: Final = re.compile(rb"\r\nCache-Status: esm-gateway; hit")


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: when it was asked for (seconds of the monotonic clock), how long it took, 0 for a lost one."""

    asked_at: float
    took_s: float
    status: int
    hit: bool
    fault: str | None


class Steady:
    """`rate` requests a second until `stop`."""

    def __init__(self, url: str, questions: Questions, rate: float) -> None:
        self.told: list[Told] = []
        self._address, self._questions, self._rate = address_of(url), questions, rate
        self._free: list[Line] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def run(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._stopped:
            due = int((time.monotonic() - began) * self._rate) + 1
            for _ in range(due - sent):
                task = asyncio.create_task(self.ask(self._questions.draw()))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
            sent = max(sent, due)
            await asyncio.sleep(max(0.0, began + sent / self._rate - time.monotonic()))
        await asyncio.gather(*self._under_way)
        for line in self._free:
            line.close()

    async def ask(self, asked: Marked) -> None:
        asked_at = time.monotonic()
        try:
            line = self._free.pop() if self._free else await Line.open(self._address)
            reply = await line.ask(asked.requests[0])
        except (LostError, OSError):
            self.told.append(Told(asked_at, time.monotonic() - asked_at, 0, False, None))
            return
        assert reply is not None
        if not line.closed:
            self._free.append(line)
        self.told.append(_told(asked, reply, asked_at))


def _told(asked: Marked, reply: Reply, asked_at: float) -> Told:
    took = time.monotonic() - asked_at
    fault = fault_of(asked.body, orjson.loads(reply.body), (asked.digest,)) if reply.status == 200 else None
    return Told(asked_at, took, reply.status, _HIT.search(reply.head) is not None, fault)
