"""The watched user's process: `python -m bench.attacks.watcher`, told by lines of JSON on standard input.

So many distinct cold calls and so many hits a second, whether or not the last ones are answered. An answer's time is
counted from the moment at which its request was due, so a gateway that stands still is not spared the requests that a
waiting caller would not have sent. One request in ten comes on a new connection, as a new caller's would.
"""

import asyncio
import gc
import os
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import orjson
import uvloop

from bench.asking import Line, LostError, Reply, address_of, request
from bench.bodies import PATH, Body, serial, small

HOT: Final = 20
KEPT: Final = 8
NEW_EVERY: Final = 10
PATIENCE_S: Final = 30.0
_HIT: Final = re.compile(rb"\r\nCache-Status: esm-gateway; hit")
_PROBLEM: Final = re.compile(rb'"type": ?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Felt:
    """What one kind of call felt. `answered`: the share that got a 200; times in milliseconds, of those.
    `own_p99_ms`: how late this process was itself, for want of a processor."""

    sent: int
    answered: float
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    statuses: Mapping[str, int]
    problems: Mapping[str, int]
    hits: int
    own_p99_ms: float | None


@dataclass(slots=True)
class _Stream:
    """The calls of one kind, as they go out and come back."""

    url: str
    key: str = field(repr=False)
    body: Body = field(repr=False)
    statuses: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    hits: int = 0
    free: deque[Line] = field(default_factory=deque)
    sent: int = 0

    def request(self, number: int) -> bytes:
        digits, at = serial(number), self.body.serial_at
        text = self.body.text[:at] + digits + self.body.text[at + len(digits) :]
        return request(self.url, PATH, self.key, text)

    async def ask(self, data: bytes, due: float) -> None:
        self.sent += 1
        self.own.append(time.monotonic() - due)
        try:
            async with asyncio.timeout(PATIENCE_S):
                reply = await self._asked(data)
        except (LostError, OSError) as error:  # TimeoutError is an OSError
            self.statuses["late" if isinstance(error, TimeoutError) else "lost"] += 1
            return
        self._told(reply, time.monotonic() - due)

    async def _asked(self, data: bytes) -> Reply:
        line = await self._line()
        try:
            reply = await line.ask(data)
        except BaseException:
            line.close()
            raise
        assert reply is not None
        if line.closed or len(self.free) >= KEPT:
            line.close()
        else:
            self.free.append(line)
        return reply

    async def _line(self) -> Line:
        """The connection that rested longest, so that all of them, and with them all workers, have their turn."""
        while self.free and self.free[0].closed:
            self.free.popleft()
        new = self.sent % NEW_EVERY == 0 or len(self.free) < KEPT
        return await Line.open(address_of(self.url)) if new else self.free.popleft()

    def _told(self, reply: Reply, took: float) -> None:
        self.statuses[str(reply.status)] += 1
        if reply.status == 200:
            self.took.append(took)
            self.hits += _HIT.search(reply.head) is not None
            return
        named = _PROBLEM.search(reply.body)
        self.problems[named.group(1).decode() if named else "none"] += 1

    def felt(self) -> Felt:
        sent = max(1, sum(self.statuses.values()))
        return Felt(
            sent=sent,
            answered=round(self.statuses["200"] / sent, 4),
            p50_ms=at_share(self.took, 0.5),
            p99_ms=at_share(self.took, 0.99),
            max_ms=at_share(self.took, 1.0),
            statuses=dict(self.statuses),
            problems=dict(self.problems),
            hits=self.hits,
            own_p99_ms=at_share(self.own, 0.99),
        )


def at_share(took: Sequence[float], share: float) -> float | None:
    """The time in milliseconds that this share of them did not exceed; None: there are none."""
    ms = sorted(1000 * one for one in took)
    return round(ms[min(len(ms) - 1, int(len(ms) * share))], 2) if ms else None


class Watcher:
    """Both kinds of calls over any number of windows; no cold call is ever asked twice."""

    def __init__(self, url: str, key: str, *, declared: bool) -> None:
        self._url, self._key = url, key
        self._body = small()
        if declared:
            text = self._body.text.replace(b'_of_concern":false', b'_of_concern":true ')
            self._body = replace(self._body, text=text)
        self._cold = HOT
        self._warm = False

    async def watch(self, seconds: float, rate: float) -> dict[str, Any]:
        if not self._warm:
            await self._warmed()
        streams = {name: _Stream(self._url, self._key, self._body) for name in ("cold", "hits")}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sent(streams["cold"], seconds, rate, 0.0, hot=False))
            group.create_task(self._sent(streams["hits"], seconds, rate, 0.5 / rate, hot=True))
        for stream in streams.values():
            for line in stream.free:
                line.close()
        return {name: asdict(stream.felt()) for name, stream in streams.items()}

    async def _warmed(self) -> None:
        """Every hot call asked on several connections, so that each worker is likely to have it."""
        for number in range(HOT * KEPT):
            stream = _Stream(self._url, self._key, self._body)
            await stream.ask(stream.request(number % HOT), time.monotonic())
            if stream.statuses["200"] != 1:
                raise RuntimeError(f"warming up: {dict(stream.statuses)} {dict(stream.problems)}")
            stream.free.pop().close()
        self._warm = True

    async def _sent(self, stream: _Stream, seconds: float, rate: float, late: float, *, hot: bool) -> None:
        began = time.monotonic() + late
        async with asyncio.TaskGroup() as group:
            for index in range(int(seconds * rate)):
                due = began + index / rate
                number = index % HOT if hot else self._cold
                self._cold += not hot
                data = stream.request(number)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(stream.ask(data, due))


async def main() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    order = orjson.loads(await lines.readline())
    watcher = Watcher(order["url"], order["key"], declared=order["declared"])
    gc.freeze()
    gc.disable()
    while line := await lines.readline():
        seconds, rate = orjson.loads(line)
        felt = await watcher.watch(seconds, rate)
        os.write(sys.stdout.fileno(), orjson.dumps(felt) + b"\n")


if __name__ == "__main__":
    uvloop.run(main())
