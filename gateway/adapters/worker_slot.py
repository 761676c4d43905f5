"""One worker's number and socket, and the process that serves there now."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from gateway.adapters.sockets import listen_again, turn_away, without_listening

Command = Callable[[int, int, int], Sequence[str]]
State = Literal["down", "starting", "serving", "turned_away"]
Reason = Literal["exited", "stood_still", "not_started"]


REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class WorkerLaunch:
    """How a worker is started.

    `command(slot, socket fd, heartbeat fd)` is its command line, `settings` the line that it reads first. It writes to
    `stdout` (None: this process's own).
    """

    command: Command
    settings: bytes
    stdout: int | None = None


class Ended(NamedTuple):
    """How a worker ended: its exit status (below 0: the signal), and why another one is needed."""

    status: int
    reason: Reason


class WorkerSlot:
    """Its state, and when (monotonic seconds) the process was last heard of."""

    def __init__(self, number: int, listener: socket.socket) -> None:
        self.number = number
        self.listener = listener
        self.state: State = "down"
        self.heard = 0.0
        # From its end for standing still until the next one is ready, or could not be started.
        self.being_replaced = False
        self.was_ready = asyncio.Event()
        self._process: Process | None = None
        self._pipe = -1

    async def run(self, launch: WorkerLaunch, stopping: asyncio.Event) -> Ended:
        """Run one worker until it exits. Raises what the system says where none can be started, OSError above all."""
        self._pipe, writing = os.pipe()
        try:
            try:
                self._process = process = await self._start(launch, writing)
            finally:
                os.close(writing)
            self.state = "starting"
            asyncio.get_running_loop().add_reader(self._pipe, self._on_first_beat)
            assert process.stdin is not None
            process.stdin.write(launch.settings + b"\n")
            if stopping.is_set():
                self.signal(signal.SIGTERM)
            return self._ended(await process.wait())
        finally:
            await self._clean_up()

    def _ended(self, status: int) -> Ended:
        if self.state == "starting":
            self._on_first_beat()  # it may be in the pipe
        if self.state == "starting":
            return Ended(status, "not_started")
        return Ended(status, "stood_still" if self.being_replaced else "exited")

    async def _clean_up(self) -> None:
        """Nothing of this run is left, also where it failed half-way."""
        if self.state in ("down", "starting"):
            self.being_replaced = False
        self.state = "down"
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._process = None

    async def _start(self, launch: WorkerLaunch, writing: int) -> Process:
        os.set_blocking(self._pipe, False)
        descriptors = (self.listener.fileno(), writing)
        return await asyncio.create_subprocess_exec(
            *launch.command(self.number, *descriptors),
            stdin=PIPE,
            stdout=launch.stdout,
            pass_fds=descriptors,
            process_group=0,
        )

    def _on_first_beat(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe)
        if self._has_beaten():
            self.state, self.heard, self.being_replaced = "serving", time.monotonic(), False
            self.was_ready.set()

    def listen_to_heartbeat(self, now: float) -> bool:
        """Whether the worker has beaten since the last time this was asked; only of one that has been ready."""
        beaten = self._has_beaten()
        if beaten:
            self.heard = now
        return beaten

    def _has_beaten(self) -> bool:
        try:
            return bool(os.read(self._pipe, 4096))
        except BlockingIOError:
            return False

    def turn_away(self) -> None:
        """New connections go to the other slots; those in this one's backlog are reset, so that callers try again."""
        # Where the system refuses, callers wait for as long as this worker stands still; it is replaced all the same.
        with contextlib.suppress(OSError):
            turn_away(self.listener)
        self.state = "turned_away"

    def take_back(self) -> None:
        """Undo `turn_away`."""
        listen_again(self.listener)
        self.state = "serving"

    def replace(self) -> None:
        """End the process; whoever runs this slot starts another one."""
        self.being_replaced = True
        self.signal(signal.SIGKILL)

    def stop_listening(self) -> None:
        """Leave new connections to the other slots until a worker listens here again."""
        # Where it cannot be done, connections wait in the backlog of a slot that will serve again.
        with contextlib.suppress(OSError):
            self.listener = without_listening(self.listener)

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
