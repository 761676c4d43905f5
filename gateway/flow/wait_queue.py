"""A fair, bounded wait queue: first come, first served, and nobody waits longer than the settings say.

The SDK's batch client starts 32 calls at once and retries without waiting; a 429 held back for half a second loses
none of its tasks, an immediate one loses all (measured). There is one queue per user and kind of limit.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.core.metrics import QUEUE_WAITS
from gateway.core.quota import Verdict
from gateway.flow.runtime import Runtime
from gateway.flow.waiting_limit import WaitingLimit

Attempt = Callable[[], Awaitable[Verdict]]
Turn = asyncio.Future[None]
POLL_S = 0.05


class WaitQueue:
    """Queues by name. `limit` bounds who waits, here and elsewhere; beyond it a refusal is passed on at once."""

    def __init__(self, runtime: Runtime, max_wait_s: float, limit: WaitingLimit) -> None:
        self._clock, self._meter = runtime.clock, runtime.meter
        self._max_wait_s, self._limit = max_wait_s, limit
        self._queues: dict[str, deque[Turn]] = {}

    async def acquire(
        self,
        what: str,
        user: str,
        attempt: Attempt,
        *,
        waits_for: Callable[[Verdict], bool] | None = None,
        waited_s: float = 0.0,
        until: float = float("inf"),
    ) -> Verdict:
        """The verdict of `attempt`, repeated while it refuses for a reason that passes soon enough.

        Each user has a queue for each `what`. `waited_s` has gone by for other limits: all waits together are bounded;
        `until` (monotonic) bounds this one.
        """
        name = f"{what} {user}"
        arrived = self._clock.monotonic()
        deadline = min(until, arrived + max(0.0, self._max_wait_s - waited_s))
        if name not in self._queues:
            verdict = await attempt()
            waits = _may_wait(verdict, deadline - self._clock.monotonic(), waits_for)
            if verdict.admitted or not waits or self._limit.is_full(user):
                return verdict
        elif self._limit.is_full(user) or deadline <= arrived:
            return await attempt()
        self._limit.enter(user)
        try:
            verdict = await self._wait(name, attempt, deadline, waits_for)
        finally:
            self._limit.leave(user)
        self._meter.count(QUEUE_WAITS, "admitted" if verdict.admitted else "refused")
        return replace(verdict, waited_s=self._clock.monotonic() - arrived)

    async def _wait(
        self, name: str, attempt: Attempt, deadline: float, waits_for: Callable[[Verdict], bool] | None
    ) -> Verdict:
        queue = self._queues.setdefault(name, deque())
        turn: Turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            if queue[0] is turn:
                turn.set_result(None)
            await self._await_turn(turn, deadline)
            return await self._try_until(attempt, deadline, waits_for)
        finally:
            self._leave(name, queue, turn)

    async def _await_turn(self, turn: Turn, deadline: float) -> None:
        left = deadline - self._clock.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                await turn
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

    def _leave(self, name: str, queue: deque[Turn], turn: Turn) -> None:
        first = queue[0] is turn
        queue.remove(turn)
        if not queue:
            self._queues.pop(name, None)
        elif first and not queue[0].done():
            queue[0].set_result(None)


def _may_wait(verdict: Verdict, left: float, waits_for: Callable[[Verdict], bool] | None) -> bool:
    if waits_for is not None and not waits_for(verdict):
        return False
    return left > 0 and verdict.retry_after_s <= left
