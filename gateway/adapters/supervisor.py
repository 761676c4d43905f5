"""Keeps the workers alive: starts one on each socket, replaces those that die, and ends them all in order.

A worker gets its socket, the settings (as JSON, the first line of its standard input) and a pipe to say that it is
ready. Its standard input stays open for as long as the supervisor lives; it ends when that closes (tether.py). It
has a process group of its own: Ctrl-C in a terminal reaches the supervisor alone, which lets the workers finish.

Servers of our own, such as the embedded stores, are watched too: one that has died is started again. This module
serves no calls and reads no settings.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from gateway.adapters.sockets import rebound

FIRST_PAUSE_S, HOPELESS_PAUSE_S, LONGEST_PAUSE_S, LONG_LIFE_S = 0.1, 0.8, 5.0, 10.0
WATCH_S = 0.1
GRACE_S = 2.0
READY = b"R"
Command = Callable[[int, int, int], Sequence[str]]
Say = Callable[[str], None]


class ManagedServer(Protocol):
    """A server of our own beside the workers, such as a store."""

    @property
    def role(self) -> str: ...
    @property
    def pid(self) -> int: ...
    async def ensure(self) -> bool:
        """Bring it back where it has died; answers whether that was needed."""
        ...


class StartFailed(Exception):
    """A worker ended before it was ever ready."""


class WorkerSlot:
    """One place among the workers: its socket, and who serves there now."""

    def __init__(self, number: int, listener: socket.socket) -> None:
        self.number = number
        self.listener = listener
        self.process: Process | None = None
        self.ready = asyncio.Event()

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    def turn_away(self) -> None:
        """Leave new connections to the other slots until a worker listens here again (it does when it is ready)."""
        self.listener = rebound(self.listener)


class Supervisor:
    """`command(slot, socket fd, ready fd)` is how a worker is started; `brief` is what it reads first.

    Workers write to `stdout` (None: our own).
    """

    def __init__(
        self,
        command: Command,
        brief: bytes,
        listeners: Sequence[socket.socket],
        servers: Sequence[ManagedServer],
        drain_s: float,
        say: Say,
        stdout: int | None = None,
    ) -> None:
        self._command, self._brief, self._servers = command, brief, servers
        self._drain_s, self._say, self._stdout = drain_s, say, stdout
        self._slots = [WorkerSlot(number, listener) for number, listener in enumerate(listeners)]
        self._stopping, self._hurrying = asyncio.Event(), asyncio.Event()

    async def run(self, on_ready: Callable[[], None]) -> int:
        """Until a signal ends it. Answers the exit status: 0 where every worker could finish."""
        self._hear_signals()
        watching = [asyncio.ensure_future(self._watch(store)) for store in self._servers]
        keeping = [asyncio.ensure_future(self._keep(slot)) for slot in self._slots]
        try:
            await self._first([*keeping, *watching], asyncio.gather(*(slot.ready.wait() for slot in self._slots)))
            if not self._stopping.is_set():
                on_ready()
            await self._first([*keeping, *watching], self._stopping.wait())
        finally:
            finished = await self._drain(keeping)
            await _cancel(watching)
        return 0 if finished else 1

    def stop(self) -> None:
        """As a signal does: once to let the workers finish, twice to end them."""
        (self._hurrying if self._stopping.is_set() else self._stopping).set()

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        # SIGHUP is kept for reloading; until then only a terminal that closes is a reason to end.
        terminal = sys.stdin is not None and sys.stdin.isatty()
        loop.add_signal_handler(signal.SIGHUP, self.stop if terminal else lambda: None)

    async def _first(self, running: "Sequence[asyncio.Future[None]]", event: Coroutine[Any, Any, Any] | Any) -> None:
        """Wait for an event or for the stop, whichever comes first; a failure of what runs meanwhile rises here."""
        waiting = [asyncio.ensure_future(event), asyncio.ensure_future(self._stopping.wait())]
        try:
            pending: set[asyncio.Future[Any]] = {*running, *waiting}
            while not any(each.done() for each in waiting):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
        finally:
            await _cancel(waiting)

    async def _keep(self, slot: WorkerSlot) -> None:
        """One slot, worker after worker."""
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._live(slot)
            if self._stopping.is_set():
                return
            if not slot.ready.is_set():
                raise StartFailed(f"Worker {slot.number} ended with {_spoken(status)} before it was ready.")
            if time.monotonic() - began >= LONG_LIFE_S:
                pause = FIRST_PAUSE_S
            if pause >= HOPELESS_PAUSE_S:
                slot.turn_away()
            self._say(f"worker {slot.number} ended with {_spoken(status)}; starting again in {pause:g} s")
            await _within(pause, self._stopping)
            pause = min(LONGEST_PAUSE_S, 2 * pause)

    async def _live(self, slot: WorkerSlot) -> int:
        """The life of one worker, from start to end."""
        reading, writing = os.pipe()
        try:
            descriptors = (slot.listener.fileno(), writing)
            slot.process = process = await asyncio.create_subprocess_exec(
                *self._command(slot.number, *descriptors),
                stdin=PIPE,
                stdout=self._stdout,
                pass_fds=descriptors,
                process_group=0,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        hearing = asyncio.ensure_future(_hear(reading, slot.ready))
        assert process.stdin is not None
        process.stdin.write(self._brief + b"\n")
        if self._stopping.is_set():
            slot.signal(signal.SIGTERM)
        status = await process.wait()
        await hearing
        return status

    async def _watch(self, server: ManagedServer) -> None:
        pause = WATCH_S
        while not self._stopping.is_set():
            try:
                if await server.ensure():
                    self._say(f"the {server.role} server had ended and runs again (process {server.pid})")
                pause = WATCH_S
            except Exception as error:
                # Whatever keeps a server from coming back must not end the workers, which answer 503 meanwhile.
                pause = min(LONGEST_PAUSE_S, 2 * pause)
                self._say(f"the {server.role} server cannot be started, next try in {pause:g} s: {error}")
            await _within(pause, self._stopping)

    async def _drain(self, keeping: "Sequence[asyncio.Future[None]]") -> bool:
        """Let the workers finish what is under way; those that do not are ended. Answers whether all finished."""
        self._stopping.set()
        for slot in self._slots:
            slot.signal(signal.SIGTERM)
            slot.listener.close()
        hurrying = asyncio.ensure_future(self._hurrying.wait())
        everyone = asyncio.gather(*keeping, return_exceptions=True)
        either: tuple[asyncio.Future[Any], ...] = (everyone, hurrying)
        await asyncio.wait(either, timeout=self._drain_s + GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        finished = everyone.done()
        for slot in self._slots:
            slot.signal(signal.SIGKILL)
        await everyone
        await _cancel([hurrying])
        return finished


async def _hear(reading: int, ready: asyncio.Event) -> None:
    """Set `ready` when the worker says so; end when it has said it or has ended."""
    stream = asyncio.StreamReader()
    pipe = os.fdopen(reading, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), pipe
    )
    try:
        if await stream.read(1) == READY:
            ready.set()
    finally:
        transport.close()


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def _cancel(tasks: "Sequence[asyncio.Future[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _spoken(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
