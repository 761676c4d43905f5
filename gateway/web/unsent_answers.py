"""Large answers that are being sent: bounded in bytes per worker, and each must be taken at a least pace.

What a caller does not fetch stays in memory, and keeps its connection from being closed for room. An answer cannot be
held back like a body, so over the bound the caller who has the most under way loses the one that was begun first.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.core.metrics import ANSWERS_DROPPED, ANSWERS_UNSENT
from gateway.ports import Meter

LARGE = 2**16
"""Smaller ones fit the buffer that every connection has."""
PACE_WINDOW_S = 10.0
LOOK_S = 1.0


class Receiver(Protocol):
    """The connection that an answer is sent on."""

    def drop(self) -> None:
        """Close it now, with what is left to send."""
        ...


@dataclass(slots=True)
class Unsent:
    """One answer: its caller's user and bytes, how many of them were taken when the window began, and when that was."""

    user: str
    size: int
    taken: Callable[[], int]
    before: int
    since: float


class UnsentAnswers:
    """One worker's: at most `max_bytes`, or one answer. Who takes less than `pace` bytes a second loses it."""

    def __init__(self, max_bytes: int, pace: int, meter: Meter) -> None:
        self._max_bytes, self._pace, self._meter = max_bytes, pace, meter
        self._answers: OrderedDict[Receiver, Unsent] = OrderedDict()
        self._by_user: dict[str, int] = {}
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, receiver: Receiver, user: str, size: int, taken: Callable[[], int]) -> None:
        """An answer of `size` bytes is going to be sent; `taken` counts those that the connection has handed on."""
        self._answers[receiver] = Unsent(user, size, taken, taken(), asyncio.get_running_loop().time())
        self._by_user[user] = self._by_user.get(user, 0) + size
        self._add(size)
        while self._bytes > self._max_bytes and len(self._answers) > 1:
            self._drop(self._first_of(max(self._by_user, key=self._by_user.__getitem__)), "room")
        self._look_later()

    def end(self, receiver: Receiver) -> None:
        """It was sent, or its connection is closed; nothing where it was small."""
        answer = self._answers.pop(receiver, None)
        if answer is None:
            return
        left = self._by_user[answer.user] - answer.size
        if left:
            self._by_user[answer.user] = left
        else:
            del self._by_user[answer.user]
        self._add(-answer.size)

    def _add(self, size: int) -> None:
        self._bytes += size
        self._meter.gauge(ANSWERS_UNSENT, self._bytes)

    def _first_of(self, user: str) -> Receiver:
        return next(receiver for receiver, answer in self._answers.items() if answer.user == user)

    def _drop(self, receiver: Receiver, reason: str) -> None:
        self._meter.count(ANSWERS_DROPPED, reason)
        self.end(receiver)
        receiver.drop()

    def _look_later(self) -> None:
        if self._timer is None and self._answers:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._timer, now = None, asyncio.get_running_loop().time()
        for receiver, answer in list(self._answers.items()):
            if now - answer.since < PACE_WINDOW_S:
                continue
            taken = answer.taken()
            if taken - answer.before < self._pace * (now - answer.since):
                self._drop(receiver, "pace")
            else:
                answer.before, answer.since = taken, now
        self._look_later()
