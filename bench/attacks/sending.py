"""How an attack is sent: at a pace, as fast as answers come, held back, never read, hung up.

Everything here ends when its task is cancelled; connections end with the process.
"""

import asyncio
import random
import re
import socket
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Final

from bench.asking import Cut, Line, LostError
from bench.attacks.attack import Attacker

MOST_AT_ONCE: Final = 300
_PROBLEM: Final = re.compile(rb'"type": ?"([^"]*)"')
_PAUSE_S: Final = 0.05


async def ask(attacker: Attacker, line: Line | None, data: bytes, cut: Cut | None = None) -> Line | None:
    """One request on this connection or a new one; the connection that can be used again, if any."""
    told = attacker.told
    try:
        line = line if line is not None and not line.closed else await Line.open(attacker.address)
        told["sent"] += 1
        reply = await line.ask(data, cut)
    except (LostError, OSError):
        told["lost"] += 1
        await asyncio.sleep(_PAUSE_S)
        return None
    if reply is None:
        told["hung up"] += 1
        return None
    told[str(reply.status)] += 1
    if reply.status != 200:
        named = _PROBLEM.search(reply.body)
        attacker.problems[named.group(1).decode() if named else "none"] += 1
    return line


async def paced(
    attacker: Attacker, requests: Sequence[bytes], rate: float, burst: int = 1, cuts: Iterable[Cut] = ()
) -> None:
    """So many a second, `burst` of them at once, answered or not, up to MOST_AT_ONCE; `cuts`: each is hung up on."""
    free: list[Line] = []
    under_way: set[asyncio.Task[None]] = set()
    next_request, next_cut = cycle(requests), cycle(list(cuts) or [None])

    async def one() -> None:
        line = await ask(attacker, free.pop() if free else None, next(next_request), next(next_cut))
        if line is not None:
            free.append(line)

    loop = asyncio.get_running_loop()
    due = loop.time()
    try:
        while True:
            room = max(0, min(burst, MOST_AT_ONCE - len(under_way)))
            attacker.told["not sent"] += burst - room
            for _ in range(room):
                task = asyncio.create_task(one())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            due += burst / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
    finally:
        attacker.told["unanswered"] += len(under_way)
        for task in under_way:
            task.cancel()


async def flooded(attacker: Attacker, requests: Sequence[bytes], connections: int) -> None:
    """Each connection sends its next request as soon as it has its answer."""
    waiting = cycle(requests)

    async def caller() -> None:
        line: Line | None = None
        while True:
            line = await ask(attacker, line, next(waiting))

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(caller())


class _Held(asyncio.Protocol):
    """A connection that listens to nothing and notes only that it was answered or ended."""

    def __init__(self, attacker: Attacker) -> None:
        self.ended = False
        self._attacker, self._answered = attacker, False

    def data_received(self, data: bytes) -> None:
        if not self._answered and data.startswith(b"HTTP/1.1 ") and data[9:12] != b"100":
            self._answered = True
            self._attacker.told[data[9:12].decode()] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._attacker.told["closed"] += 1


async def held(
    attacker: Attacker,
    data: bytes,
    connections: int,
    drip: Sequence[bytes] = (),
    every_s: float = 1.0,
    *,
    again: bool = False,
) -> None:
    """Connections that send `data` and then nothing, or one piece of `drip` every so often; kept open.

    With `again` one that was closed is replaced, so that as many stand all the time."""
    made: list[tuple[asyncio.Transport, _Held]] = []

    async def opened() -> None:
        try:
            made.append(await _open(attacker, data))
        except OSError:
            attacker.told["refused"] += 1

    for _ in range(connections):
        await opened()
    for piece in cycle(drip or (b"",)):
        await asyncio.sleep(every_s)
        made = [(transport, one) for transport, one in made if not one.ended]
        for transport, _ in made if piece else ():
            transport.write(piece)
        for _ in range(connections - len(made) if again else 0):
            await opened()


async def _open(attacker: Attacker, data: bytes) -> tuple[asyncio.Transport, _Held]:
    loop = asyncio.get_running_loop()
    transport, one = await loop.create_connection(lambda: _Held(attacker), *attacker.address)
    attacker.told["connections"] += 1
    if data:
        attacker.told["sent"] += 1
        transport.write(data)
    return transport, one


async def unread(
    attacker: Attacker, data: bytes, connections: int, every_s: float = _PAUSE_S, *, sips: bool = False
) -> None:
    """Connections with a small window that ask again and again and never read a byte, or read a sip every second."""
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_never_read(attacker, data, every_s, sips=sips))


async def _never_read(attacker: Attacker, data: bytes, every_s: float, *, sips: bool) -> None:
    """A connection after the other, each until the gateway ends it."""
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            sipping = None
            try:
                await loop.sock_connect(sock, attacker.address)
                attacker.told["connections"] += 1
                sipping = loop.create_task(_sip(sock)) if sips else None
                while True:
                    await loop.sock_sendall(sock, data)
                    attacker.told["sent"] += 1
                    await asyncio.sleep(every_s)
            except OSError:
                attacker.told["closed"] += 1
            finally:
                if sipping is not None:
                    sipping.cancel()
        await asyncio.sleep(_PAUSE_S)


async def _sip(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(1000):
        await loop.sock_recv(sock, 16)
        await asyncio.sleep(1)


async def churned(attacker: Attacker, callers: int) -> None:
    """Connections that are opened and closed, each caller one after the other."""

    async def caller() -> None:
        while True:
            try:
                transport, _ = await _open(attacker, b"")
                transport.abort()
            except OSError:
                attacker.told["refused"] += 1
                await asyncio.sleep(_PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())


def cuts(count: int, length: int, seed: int = 1) -> list[Cut]:
    """Moments to hang up at: while sending, while waiting, at the first byte of the answer; some by a reset."""
    chance = random.Random(seed)

    def one() -> Cut:
        when, reset = chance.random(), chance.random() < 0.5
        if when < 0.3:
            return Cut(sent=chance.randrange(1, length), reset=reset)
        return Cut(after_s=chance.expovariate(100), reset=reset) if when < 0.8 else Cut(reset=reset)

    return [one() for _ in range(count)]
