"""Supervises the workers: starts one on each socket, restarts those that die, and stops them all in order.

A worker inherits its socket and a pipe on which it reports that it is ready, and reads its settings as JSON from the
first line of its standard input. That stays open for as long as the supervisor lives; the worker exits when it closes
(parent_watch.py). Each worker has its own process group: Ctrl-C in a terminal reaches the supervisor alone, which lets
the workers finish.

Managed servers, such as the embedded stores, are restarted too. This module serves no requests and reads no settings.
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

from gateway.adapters.sockets import rebind

FIRST_BACKOFF_S, REBIND_BACKOFF_S, MAX_BACKOFF_S, STABLE_AFTER_S = 0.1, 0.8, 5.0, 10.0
CHECK_S = 0.1
GRACE_S = 2.0
READY = b"R"
Command = Callable[[int, int, int], Sequence[str]]
Report = Callable[[str], None]


class ManagedServer(Protocol):
    """A server beside the workers, such as an embedded store."""

    @property
    def role(self) -> str: ...
    @property
    def pid(self) -> int: ...
    async def ensure(self) -> bool:
        """Restart it if it has died; returns whether that was needed."""
        ...


class StartFailed(Exception):
    """A worker exited before it was ever ready."""


class WorkerSlot:
    """One worker's number and socket, and the process that serves there now."""

    def __init__(self, number: int, listener: socket.socket) -> None:
        self.number = number
        self.listener = listener
        self.process: Process | None = None
        self.ready = asyncio.Event()

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    def stop_listening(self) -> None:
        """Leave new connections to the other slots until a worker listens here again (when it is ready)."""
        self.listener = rebind(self.listener)


class Supervisor:
    """`command(slot, socket fd, ready fd)` is the command line of a worker, `worker_settings` what it reads first.

    Workers write to `stdout` (None: this process's own).
    """

    def __init__(
        self,
        command: Command,
        worker_settings: bytes,
        listeners: Sequence[socket.socket],
        servers: Sequence[ManagedServer],
        drain_s: float,
        report: Report,
        stdout: int | None = None,
    ) -> None:
        self._command, self._worker_settings, self._servers = command, worker_settings, servers
        self._drain_s, self._report, self._stdout = drain_s, report, stdout
        self._slots = [WorkerSlot(number, listener) for number, listener in enumerate(listeners)]
        self._stopping, self._kill_now = asyncio.Event(), asyncio.Event()

    async def run(self, on_ready: Callable[[], None]) -> int:
        """Until a signal stops it. Returns the exit status: 0 where every worker finished in time."""
        self._handle_signals()
        watching = [asyncio.ensure_future(self._watch(store)) for store in self._servers]
        running = [asyncio.ensure_future(self._run_slot(slot)) for slot in self._slots]
        try:
            await self._wait_for([*running, *watching], asyncio.gather(*(slot.ready.wait() for slot in self._slots)))
            if not self._stopping.is_set():
                on_ready()
            await self._wait_for([*running, *watching], self._stopping.wait())
        finally:
            finished = await self._drain(running)
            await _cancel(watching)
        return 0 if finished else 1

    def stop(self) -> None:
        """As a signal does: once to let the workers finish, twice to kill them."""
        (self._kill_now if self._stopping.is_set() else self._stopping).set()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        # SIGHUP is reserved for reloading, and ignored unless it means that the terminal closed.
        terminal = sys.stdin is not None and sys.stdin.isatty()
        loop.add_signal_handler(signal.SIGHUP, self.stop if terminal else lambda: None)

    async def _wait_for(self, running: "Sequence[asyncio.Future[None]]", event: Coroutine[Any, Any, Any] | Any) -> None:
        """Wait for an event or the stop, whichever comes first; an exception of a running task is raised here."""
        waiting = [asyncio.ensure_future(event), asyncio.ensure_future(self._stopping.wait())]
        try:
            pending: set[asyncio.Future[Any]] = {*running, *waiting}
            while not any(each.done() for each in waiting):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
        finally:
            await _cancel(waiting)

    async def _run_slot(self, slot: WorkerSlot) -> None:
        """Start worker after worker on one slot."""
        backoff_s = FIRST_BACKOFF_S
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._run_worker(slot)
            if self._stopping.is_set():
                return
            if not slot.ready.is_set():
                raise StartFailed(f"Worker {slot.number} exited with {_describe(status)} before it was ready.")
            if time.monotonic() - began >= STABLE_AFTER_S:
                backoff_s = FIRST_BACKOFF_S
            if backoff_s >= REBIND_BACKOFF_S:
                slot.stop_listening()
            self._report(f"worker {slot.number} exited with {_describe(status)}; restarting in {backoff_s:g} s")
            await _wait_up_to(backoff_s, self._stopping)
            backoff_s = min(MAX_BACKOFF_S, 2 * backoff_s)

    async def _run_worker(self, slot: WorkerSlot) -> int:
        """Run one worker until it exits; returns its status."""
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
        waiting_for_ready = asyncio.ensure_future(_wait_for_ready(reading, slot.ready))
        assert process.stdin is not None
        process.stdin.write(self._worker_settings + b"\n")
        if self._stopping.is_set():
            slot.signal(signal.SIGTERM)
        status = await process.wait()
        await waiting_for_ready
        return status

    async def _watch(self, server: ManagedServer) -> None:
        backoff_s = CHECK_S
        while not self._stopping.is_set():
            try:
                if await server.ensure():
                    self._report(f"the {server.role} server had exited and was restarted (process {server.pid})")
                backoff_s = CHECK_S
            except Exception as error:
                # A server that cannot be restarted must not stop the workers, which answer 503 meanwhile.
                backoff_s = min(MAX_BACKOFF_S, 2 * backoff_s)
                self._report(f"the {server.role} server cannot be restarted, next attempt in {backoff_s:g} s: {error}")
            await _wait_up_to(backoff_s, self._stopping)

    async def _drain(self, running: "Sequence[asyncio.Future[None]]") -> bool:
        """Let the workers finish; kill those that take too long. Returns whether all finished."""
        self._stopping.set()
        for slot in self._slots:
            slot.signal(signal.SIGTERM)
            slot.listener.close()
        killing = asyncio.ensure_future(self._kill_now.wait())
        everyone = asyncio.gather(*running, return_exceptions=True)
        either: tuple[asyncio.Future[Any], ...] = (everyone, killing)
        await asyncio.wait(either, timeout=self._drain_s + GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        finished = everyone.done()
        for slot in self._slots:
            slot.signal(signal.SIGKILL)
        await everyone
        await _cancel([killing])
        return finished


async def _wait_for_ready(reading: int, ready: asyncio.Event) -> None:
    """Set `ready` when the worker reports it; return then, or when the worker has exited."""
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


async def _wait_up_to(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def _cancel(tasks: "Sequence[asyncio.Future[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
