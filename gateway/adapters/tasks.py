"""Work side by side on asyncio, and a stop that loses none of it.

Work started by `spawn` belongs to the process, not to the caller: a caller who hangs up stops waiting, the work goes
on, and `drain` waits for what is under way when the process stops. There is no queue and no limit here: how much may
run at once is decided before work is started.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

log = logging.getLogger(__name__)


class AsyncPromise(Generic[T]):
    """`ports.Promise`: a value that is set once; the first `set` wins, later ones are ignored."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def set(self, value: T) -> None:
        if not self._future.done():
            self._future.set_result(value)

    def done(self) -> bool:
        return self._future.done()

    async def wait(self) -> T:
        # Shielded: one waiter who goes away must not cancel the value for the others.
        return await asyncio.shield(self._future)


class AsyncTasks:
    """`ports.Tasks` on the running loop."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def promise(self) -> AsyncPromise[Any]:
        return AsyncPromise()

    def spawn(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        awaited = _Awaited(task)
        task.add_done_callback(lambda done: self._ended(done, awaited))
        return awaited

    async def both(self, one: Coroutine[Any, Any, A], two: Coroutine[Any, Any, B]) -> tuple[A, B]:
        """Both results; where one fails the other is cancelled, awaited, and the first error raised."""
        tasks = (asyncio.ensure_future(one), asyncio.ensure_future(two))
        try:
            first, second = await asyncio.gather(*tasks)
            return first, second
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        async with asyncio.timeout(seconds):
            return await work

    async def drain(self, seconds: float) -> int:
        """Wait for what is under way; after `seconds` cancel the rest. Answers how many were cancelled."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._running and (left := deadline - asyncio.get_running_loop().time()) > 0:
            # In a loop: work that ends may have started more.
            await asyncio.wait(set(self._running), timeout=left)
        rest = set(self._running)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return len(rest)

    def _ended(self, task: asyncio.Task[Any], awaited: "_Awaited[Any]") -> None:
        self._running.discard(task)
        if task.cancelled() or task.exception() is None or awaited.used:
            return
        # The type alone: an error's text may quote what a caller sent.
        log.error("background work failed: %s", type(task.exception()).__name__)


class _Awaited(Generic[T]):
    """The result of spawned work: awaiting it is shielded, and remembered so that its error counts as seen."""

    __slots__ = ("_task", "used")

    def __init__(self, task: "asyncio.Task[T]") -> None:
        self._task = task
        self.used = False

    def __await__(self) -> Any:
        self.used = True
        return asyncio.shield(self._task).__await__()
