"""A fair, bounded line: who came first is tried first, and nobody waits longer than the settings say.

The SDK's batch client starts 32 calls at once and tries again without waiting; a 429 held back for half a second
loses none of its tasks, an instant one loses all (measured). One line a user and kind of limit.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from gateway.core.metrics import QUEUE_WAITS
from gateway.core.quota import Verdict
from gateway.ports import Clock, Meter, Promise, Tasks

Attempt = Callable[[], Awaitable[Verdict]]
POLL_S = 0.05


class WaitQueue:
    """Lines by name. `max_waiting` bounds all of them together; beyond it a refusal is passed on at once."""

    def __init__(self, clock: Clock, tasks: Tasks, meter: Meter, max_wait_s: float, max_waiting: int) -> None:
        self._clock, self._tasks, self._meter = clock, tasks, meter
        self._max_wait_s, self._max_waiting = max_wait_s, max_waiting
        self._lines: dict[str, deque[Promise[Any]]] = {}
        self._waiting = 0

    async def acquire(self, name: str, attempt: Attempt, waits_for: Callable[[Verdict], bool] | None = None) -> Verdict:
        """The verdict of `attempt`, tried again while it refuses for a reason that passes soon enough."""
        if name not in self._lines:
            verdict = await attempt()
            if verdict.admitted or not _may_wait(verdict, self._max_wait_s, waits_for) or self._is_full():
                return verdict
        elif self._is_full():
            return await attempt()
        return await self._wait(name, attempt, waits_for)

    async def _wait(self, name: str, attempt: Attempt, waits_for: Callable[[Verdict], bool] | None) -> Verdict:
        arrived = self._clock.monotonic()
        line = self._lines.setdefault(name, deque())
        turn = self._tasks.promise()
        line.append(turn)
        self._waiting += 1
        try:
            if line[0] is turn:
                turn.set(None)
            await self._turn(turn, arrived)
            verdict = await self._try_until(attempt, arrived + self._max_wait_s, waits_for)
        finally:
            self._waiting -= 1
            self._leave(name, line, turn)
        self._meter.count(QUEUE_WAITS, "admitted" if verdict.admitted else "refused")
        return replace(verdict, waited_s=self._clock.monotonic() - arrived)

    async def _turn(self, turn: Promise[Any], arrived: float) -> None:
        left = arrived + self._max_wait_s - self._clock.monotonic()
        try:
            await self._tasks.within(max(0.0, left), turn.wait())
        except TimeoutError:
            return  # one attempt is left, and its refusal is the answer

    async def _try_until(
        self, attempt: Attempt, deadline: float, waits_for: Callable[[Verdict], bool] | None
    ) -> Verdict:
        while True:
            verdict = await attempt()
            left = deadline - self._clock.monotonic()
            if verdict.admitted or not _may_wait(verdict, left, waits_for):
                return verdict
            await self._clock.sleep(min(left, max(0.005, verdict.retry_after_s)))

    def _is_full(self) -> bool:
        # Asked of newcomers alone: whoever waits has their place.
        return self._waiting >= self._max_waiting

    def _leave(self, name: str, line: deque[Promise[Any]], turn: Promise[Any]) -> None:
        first = line[0] is turn
        line.remove(turn)
        if not line:
            self._lines.pop(name, None)
        elif first and not line[0].done():
            line[0].set(None)


def _may_wait(verdict: Verdict, left: float, waits_for: Callable[[Verdict], bool] | None) -> bool:
    if waits_for is not None and not waits_for(verdict):
        return False
    return left > 0 and verdict.retry_after_s <= left
