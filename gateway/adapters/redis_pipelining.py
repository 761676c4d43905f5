"""Automatic pipelining: commands that many callers send at the same moment share a few connections.

A sender takes all commands that are queued, sends them as one pipeline (not a transaction), hands out the replies, and
takes what was queued meanwhile. So a burst of five hundred callers needs four connections and some twenty round trips,
not five hundred of each.

A deadline measures the store, not this process: where the event loop itself was too busy to read a reply in time, the
deadline is extended before the store counts as lost.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import Redis

T = TypeVar("T")

MAX_BATCHES_IN_FLIGHT = 4
MAX_BATCH = 64
# A timer that fires late by this share of the deadline shows a delay of this process, not of the store.
LOOP_LAG = 0.1
MAX_EXTENSIONS = 4


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """A queued command and the future of its reply."""

    words: tuple[Any, ...]
    options: Mapping[str, Any]
    timeout_s: float
    reply: "asyncio.Future[Any]"

    def abandon(self) -> None:
        """Fail for the caller; a reply that still comes is read and dropped."""
        if not self.reply.done():
            self.reply.set_exception(TimeoutError())


class AutoPipeline:
    """Commands to one server. An error reply reaches its caller; a lost connection fails every command of its batch."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._queue: list[PendingCommand] = []
        self._senders: set[asyncio.Task[None]] = set()
        self._sender_starting = False
        self._executing_alone = False

    async def execute(self, timeout_s: float, *words: Any, **options: Any) -> Any:
        """Send one command once; TimeoutError after that long. A command abandoned before it was sent is never sent."""
        if not (self._executing_alone or self._senders or self._queue):
            return await self._execute_alone(timeout_s, words, options)
        loop = asyncio.get_running_loop()
        command = PendingCommand(words, options, timeout_s, loop.create_future())
        self._queue.append(command)
        if not self._sender_starting and len(self._senders) < MAX_BATCHES_IN_FLIGHT:
            self._sender_starting = True
            sender = loop.create_task(self._send_batches())
            self._senders.add(sender)
        deadline = Deadline(timeout_s, command.abandon)
        try:
            return await command.reply
        finally:
            deadline.cancel()

    async def _execute_alone(self, timeout_s: float, words: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """For a caller that meets no other: a sender's task would make the command half as expensive again."""
        task = asyncio.current_task()
        assert task is not None
        self._executing_alone = True
        deadline = Deadline(timeout_s, task.cancel)
        try:
            return await self._client.execute_command(*words, **options)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            if deadline.expired:
                task.uncancel()
                raise TimeoutError from None
            raise
        finally:
            self._executing_alone = False
            deadline.cancel()

    async def _send_batches(self) -> None:
        self._sender_starting = False
        sender = asyncio.current_task()
        assert sender is not None
        try:
            while self._queue:
                batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
                batch = [command for command in batch if not command.reply.done()]
                if batch:
                    await self._send_batch(batch)
        finally:
            # At once, not when the task is done: a command queued in between would wait for a sender that has ended.
            self._senders.discard(sender)

    async def _send_batch(self, batch: list[PendingCommand]) -> None:
        try:
            replies = await self._send_with_deadline(batch)
        except BaseException as error:
            for command in batch:
                if not command.reply.done():
                    command.reply.set_exception(_as_exception(error))
            if not isinstance(error, Exception):
                raise
            return
        for command, reply in zip(batch, replies, strict=True):
            if command.reply.done():
                continue
            if isinstance(reply, Exception):
                command.reply.set_exception(reply)
            else:
                command.reply.set_result(reply)

    async def _send_with_deadline(self, batch: list[PendingCommand]) -> list[Any]:
        """The replies. A connection that is silent for longer than any caller waits is closed."""
        return await with_deadline(1.2 * max(command.timeout_s for command in batch), self._send(batch))

    async def _send(self, batch: list[PendingCommand]) -> list[Any]:
        if len(batch) == 1:
            command = batch[0]
            return [await self._client.execute_command(*command.words, **command.options)]  # type: ignore[no-untyped-call]
        pipe = self._client.pipeline(transaction=False)
        for command in batch:
            pipe.execute_command(*command.words, **command.options)
        replies: list[Any] = await pipe.execute(raise_on_error=False)
        return replies

    async def close(self) -> None:
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)


async def with_deadline(seconds: float, work: Awaitable[T]) -> T:
    """The result; TimeoutError where the deadline has expired, and the work is cancelled."""
    task = asyncio.current_task()
    assert task is not None
    deadline = Deadline(seconds, task.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if deadline.expired:
            task.uncancel()
            raise TimeoutError from None
        raise
    finally:
        deadline.cancel()


class Deadline:
    """Calls `on_expiry` and sets `expired` when the time is up, extended while the event loop lags."""

    __slots__ = ("_due", "_extensions", "_loop", "_on_expiry", "_seconds", "_timer", "expired")

    def __init__(self, seconds: float, on_expiry: Callable[[], object]) -> None:
        self.expired = False
        self._seconds, self._on_expiry = seconds, on_expiry
        self._loop = asyncio.get_running_loop()
        self._extensions = 0
        self._due = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._due, self._on_timer)

    def _on_timer(self) -> None:
        late = self._loop.time() - self._due
        if late > LOOP_LAG * self._seconds and self._extensions < MAX_EXTENSIONS:
            # A reply that arrived while this process was busy is read before the timer fires again.
            self._extensions += 1
            self._due = self._loop.time() + self._seconds / 2
            self._timer = self._loop.call_at(self._due, self._on_timer)
            return
        self.expired = True
        self._on_expiry()

    def cancel(self) -> None:
        self._timer.cancel()


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else ConnectionError("the store's client was closed")
