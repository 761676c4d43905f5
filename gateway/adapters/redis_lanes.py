"""Many callers, few connections: what is asked of a store in the same moment travels together.

A lane is one connection's worth of work: it takes all that waits, sends it as one pipeline (not a transaction), hands
out the answers, and takes what has come meanwhile. A burst of five hundred callers so needs four connections and some
twenty round trips, not five hundred of each.

The deadline is the store's, not ours: where this process itself was too busy to look at an answer in time, it looks
once more before it calls the store lost.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

MOST_LANES = 4
MOST_TOGETHER = 64
# A timer that fires this share of the deadline late tells of our own delay, not of the store's.
OWN_DELAY = 0.1
LOOKS = 4


@dataclass(frozen=True, slots=True)
class Asked:
    words: tuple[Any, ...]
    options: Mapping[str, Any]
    answer: "asyncio.Future[Any]"


class Lanes:
    """The way to one server. Errors of a single command reach its caller; a lost connection reaches all it carried."""

    def __init__(self, client: Redis, timeout_s: float) -> None:
        self._client, self._timeout_s = client, timeout_s
        self._waiting: list[Asked] = []
        self._lanes: set[asyncio.Task[None]] = set()
        self._starting = False

    async def ask(self, *words: Any, **options: Any) -> Any:
        """One command, once. Whoever stops waiting before it was sent takes it back."""
        loop = asyncio.get_running_loop()
        asked = Asked(words, options, loop.create_future())
        self._waiting.append(asked)
        if not self._starting and len(self._lanes) < MOST_LANES:
            self._starting = True
            lane = loop.create_task(self._drive())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await asked.answer

    async def _drive(self) -> None:
        self._starting = False
        while self._waiting:
            together, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
            together = [asked for asked in together if not asked.answer.done()]
            if together:
                await self._carry(together)

    async def _carry(self, together: list[Asked]) -> None:
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

    async def _in_time(self, together: list[Asked]) -> list[Any]:
        patience = Patience(self._timeout_s)
        try:
            return await self._send(together)
        except asyncio.CancelledError:
            if patience.ended:
                raise TimeoutError from None
            raise
        finally:
            patience.close()

    async def _send(self, together: list[Asked]) -> list[Any]:
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


class Patience:
    """Cancels the task that made it once the deadline has passed in earnest; `ended` then tells the reason."""

    def __init__(self, seconds: float) -> None:
        self.ended = False
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
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
        self._task.cancel()

    def close(self) -> None:
        self._timer.cancel()
        if self.ended:
            self._task.uncancel()


def _as_told(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else ConnectionError("the store's client was closed")
