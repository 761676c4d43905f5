"""Bytes of request bodies in flight, bounded per worker and per user.

A body is reserved by its length before it is read, until its request is answered. Over the budget it is not refused:
nothing more of it is read, so its sender waits. First come, first served within a user, round robin over users. A body
that is larger than a budget may have the whole budget alone.
"""

import asyncio
from collections import OrderedDict
from types import TracebackType

from gateway.core.metrics import BODY_BYTES, BODY_WAITS
from gateway.core.problems import CONCURRENCY_EXCEEDED, Problem
from gateway.ports import Meter

Turn = asyncio.Future[None]
# The gauge may be wrong by this much.
SHOWN_STEP = 2**16


class BodyBudget:
    """One worker's budget. At most `max_waiting` bodies of a user wait: each has a connection and a small buffer."""

    def __init__(self, worker_bytes: int, user_bytes: int, max_waiting: int, meter: Meter) -> None:
        self._worker_bytes, self._user_bytes, self._max_waiting = worker_bytes, user_bytes, max_waiting
        self._meter = meter
        self._reserved = self._shown = self._waiting = 0
        self._by_user: dict[str, int] = {}
        self._queues: dict[str, OrderedDict[Turn, int]] = {}
        # Users whose first waiting body fits their own budget, in the order of their turns. Not empty between two
        # events only while that of the first one does not fit the worker's budget; then nobody passes it.
        self._ready: OrderedDict[str, None] = OrderedDict()

    def reservation(self, user: str) -> "BodyReservation":
        """A reservation of nothing yet."""
        return BodyReservation(self, user)

    def try_take(self, user: str, size: int) -> bool:
        """Reserve at once, or not at all."""
        if self._ready or user in self._queues or not (self._fits_user(user, size) and self._fits_worker(size)):
            return False
        self._add(user, size)
        return True

    async def take(self, user: str, size: int) -> None:
        """Reserve, in turn; a 429 problem where this user has too many bodies waiting."""
        if self.try_take(user, size):
            return
        queue = self._queues.get(user)
        if queue is not None and len(queue) >= self._max_waiting:
            raise Problem(CONCURRENCY_EXCEEDED, f"{self._max_waiting} requests are waiting to be read already.")
        turn: Turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(user, OrderedDict())[turn] = size
        self._count_waiting(+1)
        self._grant(user)
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(user, turn, size)
            raise

    def give_back(self, user: str, size: int) -> None:
        left = self._by_user[user] - size
        if left:
            self._by_user[user] = left
        else:
            del self._by_user[user]
        self._reserved -= size
        self._show()
        if self._queues:
            self._grant(user)

    def _leave(self, user: str, turn: Turn, size: int) -> None:
        """The caller has gone: give back what was granted in the same moment, or let the next one move up."""
        if turn.done() and not turn.cancelled():
            self.give_back(user, size)
            return
        if turn in self._queues.get(user, ()):
            self._dequeue(user, turn)
        self._grant(user)

    def _dequeue(self, user: str, turn: Turn) -> None:
        del self._queues[user][turn]
        self._ready.pop(user, None)
        self._count_waiting(-1)
        if not self._queues[user]:
            del self._queues[user]

    def _grant(self, user: str) -> None:
        """Reserve for all whose turn it is, after something changed for this user."""
        if user in self._queues:
            self._ready.setdefault(user)
        while self._ready:
            user = next(iter(self._ready))
            turn, size = next(iter(self._queues[user].items()))
            if not turn.cancelled():
                if not self._fits_user(user, size):
                    del self._ready[user]
                    continue
                if not self._fits_worker(size):
                    return
                self._add(user, size)
                turn.set_result(None)
            self._dequeue(user, turn)
            if user in self._queues:
                self._ready[user] = None

    def _fits_user(self, user: str, size: int) -> bool:
        held = self._by_user.get(user, 0)
        return not held or held + size <= self._user_bytes

    def _fits_worker(self, size: int) -> bool:
        return not self._reserved or self._reserved + size <= self._worker_bytes

    def _add(self, user: str, size: int) -> None:
        self._by_user[user] = self._by_user.get(user, 0) + size
        self._reserved += size
        self._show()

    def _show(self) -> None:
        # Every repeat passes here twice, with a body of a few kB.
        if abs(self._reserved - self._shown) >= SHOWN_STEP or self._reserved < SHOWN_STEP <= self._shown:
            self._shown = self._reserved
            self._meter.gauge(BODY_BYTES, self._reserved)

    def _count_waiting(self, change: int) -> None:
        self._waiting += change
        self._meter.gauge(BODY_WAITS, self._waiting)


class BodyReservation:
    """What one request has reserved; given back at the end of the `with` block."""

    __slots__ = ("_budget", "_size", "_user")

    def __init__(self, budget: BodyBudget, user: str) -> None:
        self._budget, self._user, self._size = budget, user, 0

    def __enter__(self) -> "BodyReservation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._size:
            self._budget.give_back(self._user, self._size)
            self._size = 0

    def try_take(self, size: int) -> bool:
        """Reserve this many bytes if that is possible at once."""
        if size and not self._budget.try_take(self._user, size):
            return False
        self._size += size
        return True

    async def take(self, size: int) -> None:
        """Reserve this many bytes, and wait for them. Once a request: who holds some must not wait for more."""
        await self._budget.take(self._user, size)
        self._size += size

    def keep(self, size: int) -> None:
        """Give back what turned out to be more than the body's size."""
        if size < self._size:
            self._budget.give_back(self._user, self._size - size)
            self._size = size
