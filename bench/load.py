"""The load generator: a process of its own that sends prepared bytes over kept connections and reads by length.

It takes orders as JSON lines on standard input and answers each with one line of figures, so a key never stands in an
argument and no start-up falls into a measurement. Closed loop: a connection sends its next request when the answer
to the last one is whole. Every answer is checked: what is no 200, or lacks the mark that was ordered (a hit that was a
miss, say, because a store was late), is counted as astray, and the first of them is told. A lost connection ends it.
"""

import asyncio
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import urlsplit

import orjson
import uvloop

from bench.bodies import BODIES, Body, serial

# What a problem or a Cache-Status says of itself.
_SAID = re.compile(rb'(?:"type":"|\r\nCache-Status: )([^"\r]*)')
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)\r\n")


@dataclass(frozen=True, slots=True)
class Order:
    """One measurement. `mark` should stand in the head of every answer; with `first_serial` no two bodies are equal."""

    url: str
    body: str
    connections: int
    seconds: float
    warm_s: float = 0.1
    mark: str = ""
    first_serial: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    poller: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was seen. `cpu_s`: seconds of CPU that each watched process, and this one (`load`), used meanwhile."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    answer_bytes: int
    next_serial: int
    cpu_s: Mapping[str, float]
    astray: int = 0
    first_astray: str = ""
    fault: str = ""


class Run:
    """What the connections of one measurement share."""

    def __init__(self, order: Order, body: Body) -> None:
        self.order, self.body = order, body
        self.mark = order.mark.encode()
        self.serial = order.first_serial
        self.head = _head(order, len(body.text))
        self.going = False
        self.took: list[int] = []
        self.answer_bytes = 0
        self.astray = 0
        self.first_astray = ""
        self.fault = ""
        self.busy = 0
        self.idle = asyncio.Event()

    def ended(self) -> None:
        self.busy -= 1
        if self.busy == 0:
            self.idle.set()

    def went_astray(self, answer: bytes) -> None:
        self.astray += 1
        if not self.first_astray:
            said = _SAID.search(answer)
            self.first_astray = f"{answer[9:12].decode()} {said.group(1).decode() if said else ''}"

    def failed(self, fault: str) -> None:
        self.fault = self.fault or fault
        self.going = False


class Connection(asyncio.Protocol):
    """One kept connection with its own copy of the request, into which serial numbers are written."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._request = bytearray(run.head + run.body.text)
        self._serial = slice(len(run.head) + run.body.serial_at, len(run.head) + run.body.serial_at + len(serial(0)))
        self._transport: asyncio.Transport | None = None
        self._missing = 0
        self._part = b""
        self._sent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sent:
            self._run.failed("a connection was lost")
            self._run.ended()

    def start(self) -> None:
        self._run.busy += 1
        self._send()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        run = self._run
        if run.serial is not None:
            self._request[self._serial] = serial(run.serial)
            run.serial += 1
        self._sent = time.perf_counter_ns()
        assert self._transport is not None
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            data = self._part + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._part = data
                return
            self._part = b""
            self._missing = self._check(data[: end + 2], data) - (len(data) - end - 4)
        if self._missing == 0:
            self._answered()

    def _check(self, head: bytes, answer: bytes) -> int:
        run = self._run
        length = _LENGTH.search(head)
        if length is None:
            run.failed("an answer without a length")
        if not head.startswith(b"HTTP/1.1 200") or run.mark not in head:
            run.went_astray(answer[:2000])
        run.answer_bytes = int(length.group(1)) if length else 0
        return run.answer_bytes

    def _answered(self) -> None:
        run = self._run
        run.took.append(time.perf_counter_ns() - self._sent)
        if run.going:
            self._send()
        else:
            self._sent = 0
            run.ended()


def _head(order: Order, length: int) -> bytes:
    url = urlsplit(order.url)
    lines = [
        f"POST {url.path} HTTP/1.1",
        f"Host: {url.netloc}",
        "Accept: */*",
        "Accept-Encoding: gzip, deflate, br",
        "User-Agent: python-httpx/0.28.1",
        *(f"{name}: {value}" for name, value in order.headers.items()),
        f"Content-Length: {length}",
        "Content-Type: application/json",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def measure(order: Order, body: Body) -> Figures:
    """Warm up, come to rest, then measure: every request that is counted began and ended within the window."""
    run = Run(order, body)
    url = urlsplit(order.url)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(run), url.hostname or "", url.port or 80)
        for _ in range(order.connections)
    ]
    connections = [connection for _, connection in made]
    run.mark = b""
    await _drive(run, connections, order.warm_s)
    run.mark, run.took = order.mark.encode(), []
    run.astray, run.first_astray = 0, ""
    cpu, began = _clocks(order.poller), time.perf_counter()
    await _drive(run, connections, order.seconds)
    seconds, used = time.perf_counter() - began, _clocks(order.poller)
    for connection in connections:
        connection.close()
    took = sorted(run.took) or [0]
    return Figures(
        requests=len(run.took),
        seconds=seconds,
        p50_ms=took[len(took) // 2] / 1e6,
        p99_ms=took[min(len(took) - 1, len(took) * 99 // 100)] / 1e6,
        answer_bytes=run.answer_bytes,
        next_serial=run.serial or 0,
        cpu_s={name: used[name] - cpu[name] for name in used},
        astray=run.astray,
        first_astray=run.first_astray,
        fault=run.fault,
    )


async def _drive(run: Run, connections: list[Connection], seconds: float) -> None:
    if run.fault:
        return
    run.going = True
    run.idle.clear()
    for connection in connections:
        connection.start()
    await asyncio.sleep(seconds)
    run.going = False
    await asyncio.wait_for(run.idle.wait(), 120)


def _clocks(watch: Mapping[str, int]) -> dict[str, float]:
    """Seconds of CPU so far, to the nanosecond: the kernel's clock of a process (clock_getcpuclockid(3))."""
    return {"load": time.process_time(), **{name: time.clock_gettime((~pid) << 3 | 2) for name, pid in watch.items()}}


async def main() -> None:
    made = {name: make() for name, make in BODIES.items()}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        order = Order(**orjson.loads(line))
        figures = await measure(order, made[order.body])
        sys.stdout.buffer.write(orjson.dumps(asdict(figures)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main())
