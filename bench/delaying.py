"""A TCP proxy that makes replies late: all of them a little, a few later than anybody waits for.

`python -m bench.delaying --target 6379` prints its address as one JSON line. A late reply is where a client may take
one question's answer for another's. Order within a connection is kept; SIGTERM ends it.
"""

import asyncio
import json
import random
import signal
from typing import cast

import click
import uvloop


class Delay:
    """How late: exponential around `mean_s`; a `late_share` of all is later by `late_s`."""

    def __init__(self, mean_s: float, late_share: float, late_s: float) -> None:
        self._mean_s, self._late_share, self._late_s = mean_s, late_share, late_s

    def drawn(self) -> float:
        late = self._late_s if random.random() < self._late_share else 0.0
        return late + (random.expovariate(1 / self._mean_s) if self._mean_s else 0.0)


class Side(asyncio.Protocol):
    """One end of a pair; what it gets goes to the other, after a delay if it has one."""

    def __init__(self, delay: Delay | None) -> None:
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None
        self._delay = delay
        self._free_at = 0.0
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        elif self._delay is None:
            self.other.write(data)
        else:
            loop = asyncio.get_running_loop()
            self._free_at = max(self._free_at, loop.time() + self._delay.drawn())
            loop.call_at(self._free_at, self.other.write, data)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def paired(self, other: "Side") -> None:
        self.other = other
        for data in self._early:
            other.write(data)
        self._early.clear()


class Proxy:
    """Pairs each connection with one to the target; where there is none, it ends."""

    def __init__(self, target: int, delay: Delay) -> None:
        self._target, self._delay = target, delay
        self._pairing: set[asyncio.Task[None]] = set()

    def accepted(self) -> Side:
        side = Side(None)
        task = asyncio.get_running_loop().create_task(self._pair(side))
        self._pairing.add(task)
        task.add_done_callback(self._pairing.discard)
        return side

    async def _pair(self, near: Side) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, far = await loop.create_connection(lambda: Side(self._delay), "127.0.0.1", self._target)
        except OSError:
            if near.transport is not None:
                near.transport.abort()
            return
        far.paired(near)
        near.paired(far)
        if near.transport is None or near.transport.is_closing():
            far.transport.abort() if far.transport is not None else None


async def serve(target: int, delay: Delay) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    proxy = Proxy(target, delay)
    server = await loop.create_server(proxy.accepted, "127.0.0.1", 0)
    print(json.dumps({"url": f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
    await stopped.wait()
    server.close()


@click.command()
@click.option("--target", required=True, type=click.IntRange(1, 65535), help="a port of this machine")
@click.option("--mean-ms", default=0.5, show_default=True, type=click.FloatRange(min=0))
@click.option("--late-share", default=0.002, show_default=True, type=click.FloatRange(0, 1))
@click.option("--late-ms", default=80.0, show_default=True, type=click.FloatRange(min=0))
def main(target: int, mean_ms: float, late_share: float, late_ms: float) -> None:
    """A proxy before a store that makes its replies late."""
    uvloop.run(serve(target, Delay(mean_ms / 1000, late_share, late_ms / 1000)))


if __name__ == "__main__":
    main()
