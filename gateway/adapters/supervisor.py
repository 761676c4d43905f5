"""Supervises the workers: starts one on each socket, restarts those that die, and stops them all in order.

A worker inherits its socket and a pipe on which it says that it is ready and goes on (heartbeat.py), and reads its
settings as JSON from the first line of its standard input. That stays open for as long as the supervisor lives; the
worker exits when it closes (parent_watch.py). Each worker has its own process group: Ctrl-C in a terminal reaches the
supervisor alone, which lets the workers finish.

A worker that cannot be started again (no descriptors, no memory, or it exits at once) is tried again and again while
the others go on; only at the first start is it a reason to give up. Workers that stand still are replaced
(standstill.py), and so are servers beside them that exit (managed_servers.py). This module serves no requests and reads
no settings.
"""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from gateway.adapters.heartbeat import Patience
from gateway.adapters.managed_servers import ManagedServer, Report, cancel_all, keep_running, wait_up_to
from gateway.adapters.standstill import StandstillWatch
from gateway.adapters.worker_slot import REASONS, Reason, WorkerLaunch, WorkerSlot
from gateway.core.metrics import WORKER_RESTARTS
from gateway.ports import Meter

FIRST_BACKOFF_S, REBIND_BACKOFF_S, MAX_BACKOFF_S, STABLE_AFTER_S = 0.1, 0.8, 5.0, 10.0
GRACE_S = 2.0


class StartFailed(Exception):
    """A worker could not be started, or exited before it was ever ready."""


class Supervisor:
    """Workers by `launch`, one on each of `listeners`; `servers` are kept running beside them."""

    def __init__(
        self,
        launch: WorkerLaunch,
        listeners: Sequence[socket.socket],
        servers: Sequence[ManagedServer],
        drain_s: float,
        report: Report,
        meter: Meter,
        patience: Patience = Patience(),  # noqa: B008  # frozen
    ) -> None:
        self._launch, self._servers, self._drain_s = launch, servers, drain_s
        self._report, self._meter = report, meter
        self._slots = [WorkerSlot(number, listener) for number, listener in enumerate(listeners)]
        self._stopping, self._kill_now = asyncio.Event(), asyncio.Event()
        self._told = signal.SIGTERM
        self._standstill = StandstillWatch(self._slots, patience, report, meter)
        for reason in REASONS:
            meter.count(WORKER_RESTARTS, reason, by=0.0)

    async def run(self, on_ready: Callable[[], None]) -> int:
        """Until a signal stops it. Returns the exit status: 0 where every worker finished in time."""
        self._handle_signals()
        watching = [asyncio.ensure_future(keep_running(each, self._stopping, self._report)) for each in self._servers]
        watching.append(asyncio.ensure_future(self._standstill.run(self._stopping)))
        running = [asyncio.ensure_future(self._run_slot(slot)) for slot in self._slots]
        try:
            everyone = asyncio.gather(*(slot.was_ready.wait() for slot in self._slots))
            await self._wait_for([*running, *watching], everyone)
            if not self._stopping.is_set():
                on_ready()
            await self._wait_for([*running, *watching], self._stopping.wait())
        finally:
            finished = await self._drain(running)
            await cancel_all(*watching)
        return 0 if finished else 1

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """As a signal does: once to let the workers finish, twice to kill them."""
        if not self._stopping.is_set():
            self._told = number
        (self._kill_now if self._stopping.is_set() else self._stopping).set()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, number)
        # SIGHUP is reserved for reloading, and changes nothing unless it means that the terminal closed.
        terminal = sys.stdin is not None and sys.stdin.isatty()
        loop.add_signal_handler(signal.SIGHUP, self.stop if terminal else self._say_that_nothing_is_reloaded)

    def _say_that_nothing_is_reloaded(self) -> None:
        self._report("SIGHUP changes nothing: settings and key files are read at the start; restart to change them")

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
            await cancel_all(*waiting)

    async def _run_slot(self, slot: WorkerSlot) -> None:
        """Start worker after worker on one slot. StartFailed only where the first one is never ready."""
        backoff_s = FIRST_BACKOFF_S
        while not self._stopping.is_set():
            began = time.monotonic()
            ending, reason = await self._run_worker(slot)
            if self._stopping.is_set():
                return
            if not slot.was_ready.is_set():
                raise StartFailed(f"Worker {slot.number} {ending}.")
            if time.monotonic() - began >= STABLE_AFTER_S:
                backoff_s = FIRST_BACKOFF_S
            if reason == "not_started" or backoff_s >= REBIND_BACKOFF_S:
                # Nobody will serve here soon: callers are not to wait in this slot's backlog.
                slot.stop_listening()
            self._meter.count(WORKER_RESTARTS, reason)
            self._report(f"worker {slot.number} {ending}; restarting in {backoff_s:g} s")
            await wait_up_to(backoff_s, self._stopping)
            backoff_s = min(MAX_BACKOFF_S, 2 * backoff_s)

    async def _run_worker(self, slot: WorkerSlot) -> tuple[str, Reason]:
        """Run one worker to its end; returns how it ended, in words and as a label of `WORKER_RESTARTS`."""
        try:
            status, reason = await slot.run(self._launch, self._stopping)
        except Exception as error:
            # Whatever keeps this one from starting (EMFILE, ENOMEM, no thread to wait for it) must not end the others.
            return f"could not be started ({_words(error)})", "not_started"
        how = f"exited with signal {-status}" if status < 0 else f"exited with status {status}"
        return f"{how} before it was ready" if reason == "not_started" else how, reason

    async def _drain(self, running: "Sequence[asyncio.Future[None]]") -> bool:
        """Let the workers finish; kill those that take too long. Returns whether all finished."""
        self._stopping.set()
        for slot in self._slots:
            # By which signal says how: at Ctrl-C nobody waits for a balancer to notice (wiring/worker.py).
            slot.signal(self._told if slot.state == "serving" else signal.SIGTERM)
            slot.listener.close()
        killing = asyncio.ensure_future(self._kill_now.wait())
        everyone = asyncio.gather(*running, return_exceptions=True)
        either: tuple[asyncio.Future[Any], ...] = (everyone, killing)
        await asyncio.wait(either, timeout=self._drain_s + GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        finished = everyone.done()
        for slot in self._slots:
            slot.signal(signal.SIGKILL)
        await everyone
        await cancel_all(killing)
        return finished


def _words(error: Exception) -> str:
    """The system's word for it, if it is one of the system; the text of others may quote what they were about."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
