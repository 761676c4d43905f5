"""What every part of a worker shares: time and chance, the meter, and work that outlives the request it came with."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.core.metrics import LOOP_FAILURES
from gateway.ports import Clock, Meter

T = TypeVar("T")

# Before a loop that failed is started again: a fault that lasts must not fill the log, nor a poll be missed for long.
LOOP_PAUSE_S = 1.0
STEADY_S = 10.0
"""A loop that has run for so long since it failed is well again."""


class BackgroundTasks:
    """Work that belongs to the process and not to a caller: a caller who hangs up stops waiting, the work goes on.

    There is no queue and no limit here: how much may run at once is decided before work is started. Errors that
    nobody awaits are handed to `report` by their type alone, because an error's text may quote what a caller sent.
    """

    def __init__(self, report: Callable[[str], object]) -> None:
        self._report = report
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Start work that nobody waits for."""
        self._task(work).add_done_callback(self._report_error)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of work that goes on to its end even where the caller is cancelled."""
        task = self._task(work)
        task.add_done_callback(_retrieve_error)
        return await asyncio.shield(task)

    async def drain(self, seconds: float) -> int:
        """Wait for running work; after `seconds` cancel the rest. Returns how many tasks were cancelled."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._running and (left := deadline - asyncio.get_running_loop().time()) > 0:
            # In a loop: work that ends may have started more.
            await asyncio.wait(set(self._running), timeout=left)
        rest = set(self._running)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return len(rest)

    def _task(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _report_error(self, task: "asyncio.Task[Any]") -> None:
        error = _retrieve_error(task)
        if error is not None:
            self._report(f"background work failed: {type(error).__name__}")


def _retrieve_error(task: "asyncio.Task[Any]") -> BaseException | None:
    """The task's error; asking for it keeps asyncio from logging its text."""
    return None if task.cancelled() else task.exception()


@dataclass(frozen=True, slots=True)
class Runtime:
    """The three things that nearly every part needs."""

    clock: Clock
    meter: Meter
    tasks: BackgroundTasks


class BackgroundLoops:
    """Loops that run for as long as the worker does: one that fails is started again after a short pause.

    A failure is reported by the loop's name and the error's type alone, and counted. Only `stop` ends a loop.
    """

    def __init__(self, runtime: Runtime, report: Callable[[str], object]) -> None:
        self._clock, self._meter, self._report = runtime.clock, runtime.meter, report
        self._running: list[asyncio.Task[None]] = []
        self._failed: dict[str, float] = {}

    def failing(self) -> bool:
        """Whether a loop has ended, or failed a moment ago: what it keeps up to date may be out of date."""
        now = self._clock.monotonic()
        return any(task.done() for task in self._running) or any(now - at < STEADY_S for at in self._failed.values())

    def keep(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `loop()` until `stop`. The name is a label of `LOOP_FAILURES`."""
        self._meter.count(LOOP_FAILURES, name, by=0.0)
        self._running.append(asyncio.get_running_loop().create_task(self._keep(name, loop)))

    async def stop(self) -> None:
        """End all loops, and wait until they have ended."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()

    async def _keep(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.current_task()
        assert task is not None
        while True:
            try:
                await loop()
                failure = "it ended"
            except asyncio.CancelledError:
                if task.cancelling():
                    raise
                failure = "CancelledError"  # of something that it waited for, and not of this loop
            except Exception as error:
                failure = type(error).__name__
            self._failed[name] = self._clock.monotonic()
            self._meter.count(LOOP_FAILURES, name)
            self._report(f"the background loop {name} failed and is started again: {failure}")
            await self._clock.sleep(LOOP_PAUSE_S)
