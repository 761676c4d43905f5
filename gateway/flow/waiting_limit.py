"""How many requests may wait at the same time in one worker, for whatever: all together, and of one user."""

from collections import Counter

from gateway.core.metrics import WAITING
from gateway.ports import Meter


class WaitingLimit:
    """Counts who waits. Asked of newcomers only: who waits has their place."""

    def __init__(self, meter: Meter, most: int, most_per_user: int) -> None:
        self._meter, self._most, self._most_per_user = meter, most, most_per_user
        self._users: Counter[str] = Counter()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def is_full(self, user: str) -> bool:
        return self._waiting >= self._most or self._users[user] >= self._most_per_user

    def enter(self, user: str) -> None:
        self._users[user] += 1
        self._show(+1)

    def leave(self, user: str) -> None:
        self._users[user] -= 1
        if self._users[user] <= 0:
            del self._users[user]
        self._show(-1)

    def _show(self, change: int) -> None:
        self._waiting += change
        self._meter.gauge(WAITING, self._waiting)
