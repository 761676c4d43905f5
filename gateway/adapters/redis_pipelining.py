"""Many callers, few connections: what is asked of a store in the same moment travels together.

A lane is one connection's worth of work: it takes all that waits, sends it as one pipeline (not a transaction), hands
out the answers, and takes what has come meanwhile. A burst of five hundred callers so needs four connections and some
twenty round trips, not five hundred of each.

The deadline is the store's, not ours: where this process itself was too busy to look at an answer in time, it looks
once more before it calls the store lost.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import Redis

T = TypeVar("T")

MAX_BATCHES_IN_FLIGHT = 4
MAX_BATCH = 64
# A timer that fires this share of the deadline late tells of our own delay, not of the store's.
OWN_DELAY = 0.1
LOOKS = 4


@dataclass(frozen=True, slots=True)
class PendingCommand:
    words: tuple[Any, ...]
    options: Mapping[str, Any]
    timeout_s: float
    answer: "asyncio.Future[Any]"

    def give_up(self) -> None:
        """Nobody waits for this answer any more; if it comes, it is read and dropped."""
        if not self.answer.done():
            self.answer.set_exception(TimeoutError())


class AutoPipeline:
    """The way to one server. Errors of a single command reach its caller; a lost connection reaches all it carried."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: list[PendingCommand] = []
        self._lanes: set[asyncio.Task[None]] = set()
        self._starting = False
        self._alone = False

    async def ask(self, timeout_s: float, *words: Any, **options: Any) -> Any:
        """One command, once; TimeoutError after that long. Given up before it was sent, it is never sent."""
        if not (self._alone or self._lanes or self._waiting):
            return await self._ask_alone(timeout_s, words, options)
        loop = asyncio.get_running_loop()
        asked = PendingCommand(words, options, timeout_s, loop.create_future())
        self._waiting.append(asked)
        if not self._starting and len(self._lanes) < MAX_BATCHES_IN_FLIGHT:
            self._starting = True
            lane = loop.create_task(self._drive())
            self._lanes.add(lane)
        patience = Deadline(timeout_s, asked.give_up)
        try:
            return await asked.answer
        finally:
            patience.close()

    async def _ask_alone(self, timeout_s: float, words: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """The command of a caller who meets nobody: without a lane, which would cost it half as much again."""
        task = asyncio.current_task()
        assert task is not None
        self._alone = True
        patience = Deadline(timeout_s, task.cancel)
        try:
            return await self._client.execute_command(*words, **options)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            if patience.ended:
                task.uncancel()
                raise TimeoutError from None
            raise
        finally:
            self._alone = False
            patience.close()

    async def _drive(self) -> None:
        self._starting = False
        lane = asyncio.current_task()
        assert lane is not None
        try:
            while self._waiting:
                together, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                together = [asked for asked in together if not asked.answer.done()]
                if together:
                    await self._carry(together)
        finally:
            # At once and not when the task is seen to have ended: who asks in between would wait for nobody.
            self._lanes.discard(lane)

    async def _carry(self, together: list[PendingCommand]) -> None:
        try:
            answers = await self._in_time(together)
        except BaseException as error:
            for asked in together:
                if not asked.answer.done():
                    asked.answer.set_exception(_as_told(error))
            if not isinstance(error, Exception):
                raise
            return
        for asked, answer in zip(together, answers, strict=True):
            if asked.answer.done():
                continue
            if isinstance(answer, Exception):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result(answer)

    async def _in_time(self, together: list[PendingCommand]) -> list[Any]:
        """The answers; a connection that keeps silent for longer than anybody waits is closed."""
        return await with_deadline(1.2 * max(asked.timeout_s for asked in together), self._send(together))

    async def _send(self, together: list[PendingCommand]) -> list[Any]:
        if len(together) == 1:
            asked = together[0]
            return [await self._client.execute_command(*asked.words, **asked.options)]  # type: ignore[no-untyped-call]
        pipe = self._client.pipeline(transaction=False)
        for asked in together:
            pipe.execute_command(*asked.words, **asked.options)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers

    async def close(self) -> None:
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)


async def with_deadline(seconds: float, work: Awaitable[T]) -> T:
    """The result; TimeoutError where the deadline has passed in earnest, and the work is cancelled."""
    task = asyncio.current_task()
    assert task is not None
    patience = Deadline(seconds, task.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if patience.ended:
            task.uncancel()
            raise TimeoutError from None
        raise
    finally:
        patience.close()


class Deadline:
    """Calls `then` once the deadline has passed in earnest, and says that it has `ended`."""

    __slots__ = ("_due", "_looks", "_loop", "_seconds", "_then", "_timer", "ended")

    def __init__(self, seconds: float, then: Callable[[], object]) -> None:
        self.ended = False
        self._seconds, self._then = seconds, then
        self._loop = asyncio.get_running_loop()
        self._looks = 0
        self._due = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        late = self._loop.time() - self._due
        if late > OWN_DELAY * self._seconds and self._looks < LOOKS:
            # What arrived while this process was busy is read before this timer fires again.
            self._looks += 1
            self._due = self._loop.time() + self._seconds / 2
            self._timer = self._loop.call_at(self._due, self._look)
            return
        self.ended = True
        self._then()

    def close(self) -> None:
        self._timer.cancel()


def _as_told(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else ConnectionError("the store's client was closed")
