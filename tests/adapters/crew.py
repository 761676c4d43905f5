"""A supervisor over small workers (small_worker.py): what the tests of supervision share."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from gateway.adapters.heartbeat import Patience
from gateway.adapters.sockets import close_all, open_sockets
from gateway.adapters.supervisor import Supervisor
from gateway.adapters.worker_slot import WorkerLaunch
from tests.fakes.world import FakeMeter

WORKER = Path(__file__).with_name("small_worker.py")
ROOT = Path(__file__).resolve().parents[2]


class Crew:
    """A supervisor over small workers, and what it said."""

    def __init__(
        self,
        directory: Path,
        workers: int,
        servers: Sequence[Any] = (),
        drain_s: float = 5.0,
        patience: Patience = Patience(),  # noqa: B008
    ) -> None:
        self.fail = directory / "fail"
        self.workers, self.servers, self.drain_s, self.patience = workers, servers, drain_s, patience
        self.said: list[str] = []
        # At each thing that was said: how many slots had no worker that was ready.
        self.down: list[int] = []
        self.meter = FakeMeter()
        self.on_start: AbstractContextManager[None] = nullcontext()

    def run(self, play: "Callable[[Crew], Awaitable[None]]") -> int:
        return asyncio.run(self._run(play))

    async def _run(self, play: "Callable[[Crew], Awaitable[None]]") -> int:
        sockets = await open_sockets("127.0.0.1", 0, self.workers)
        self.port = sockets[0].getsockname()[1]
        self.ready = asyncio.Event()
        brief = json.dumps({"fail": str(self.fail)}).encode()
        launch = WorkerLaunch(_command, brief)
        with self.on_start:
            return await self._supervise(launch, sockets, play)

    async def _supervise(
        self, launch: WorkerLaunch, sockets: list[socket.socket], play: "Callable[[Crew], Awaitable[None]]"
    ) -> int:
        self.supervisor = Supervisor(
            launch, sockets, self.servers, self.drain_s, self._report, self.meter, self.patience
        )
        running = asyncio.ensure_future(self.supervisor.run(self.ready.set))
        playing = asyncio.ensure_future(self._play(play))
        try:
            await asyncio.wait([running, playing], return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
            return await running
        finally:
            playing.cancel()
            self.supervisor.stop()
            await asyncio.gather(playing, running, return_exceptions=True)
            close_all(sockets)

    def _report(self, sentence: str) -> None:
        self.said.append(sentence)
        self.down.append(sum(slot.state in ("down", "starting") for slot in self.supervisor._slots))

    async def _play(self, play: "Callable[[Crew], Awaitable[None]]") -> None:
        await self.ready.wait()
        await play(self)

    async def ask(self, directives: str = "", patience_s: float = 10.0) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{directives}\n".encode())
        return await answer_of(reader, writer, patience_s)

    async def begin(self, slot: int = 0) -> "tuple[asyncio.StreamReader, asyncio.StreamWriter]":
        """A call that is under way at this slot, and waits for a word of its caller."""
        async with asyncio.timeout(10):
            while True:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(b"wait\n")
                if await reader.readline() == b"waiting at %d\n" % slot:
                    return reader, writer
                writer.close()

    async def hears(self, words: str, patience_s: float = 20.0) -> None:
        """Until the supervisor has said so."""
        async with asyncio.timeout(patience_s):
            while not any(words in said for said in self.said):
                await asyncio.sleep(0.01)

    async def refused(self) -> None:
        """Until nobody listens any more."""
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    return
                writer.close()
                await asyncio.sleep(0.01)

    async def everyone(self) -> dict[int, int]:
        """Process ids by slot."""
        found: dict[int, int] = {}
        async with asyncio.timeout(10):
            while len(found) < self.workers:
                told = await self.ask()
                if told:
                    found[told["slot"]] = told["pid"]
        return found


async def answer_of(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience_s: float = 10.0
) -> dict[str, Any]:
    async with asyncio.timeout(patience_s):
        answer = await reader.read()
    writer.close()
    return json.loads(answer) if answer else {}


def _command(slot: int, listener: int, ready: int) -> Sequence[str]:
    return (sys.executable, str(WORKER), str(slot), str(listener), str(ready))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
