"""Whose turn it is: users share by cost and weight, whoever asks more often or has asked for longer.

Start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996): each user has a virtual time that moves on by cost / weight
with each turn, and the user with the least has the next one. Who comes back after a while starts at the present, so
nobody saves turns up, and a newcomer waits for no more than what is in service. docs/decisions/0011 says why not
deficit round robin.

Pure: it holds items and knows nothing of what they wait for.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
FORGET_EVERY = 256


class UserQueue(Generic[T]):
    """The waiting items of one user, first come first served, each with its cost."""

    __slots__ = ("entry", "items", "virtual", "weight")

    def __init__(self, weight: float, virtual: float) -> None:
        self.weight, self.virtual = weight, virtual
        self.entry = 0
        self.items: OrderedDict[T, float] = OrderedDict()


class FairQueue(Generic[T]):
    """Items of many users. `weight` gives a user's share; the choice of a user is O(log users)."""

    def __init__(self, weight: Callable[[str], float]) -> None:
        self._weight = weight
        self._users: dict[str, UserQueue[T]] = {}
        # Virtual time, number of the entry, user; an entry is void where the user has a later one, or no items.
        self._order: list[tuple[float, int, str]] = []
        self._entries, self._changes = 0, 0
        self._length = 0
        self._virtual = 0.0

    def __len__(self) -> int:
        return self._length

    def waits(self, user: str) -> bool:
        """Whether this user has an item here."""
        found = self._users.get(user)
        return found is not None and bool(found.items)

    def first(self, user: str, count: int) -> list[T]:
        """The first items of a user, in order."""
        found = self._users.get(user)
        return [] if found is None else list(islice(found.items, count))

    def add(self, user: str, item: T, cost: float, *, at_front: bool = False) -> None:
        """One more item; at the front where it had its turn before and could not use it."""
        found = self._user(user)
        if not found.items:
            self._push(user, found)
        found.items[item] = cost
        self._length += 1
        if at_front:
            found.items.move_to_end(item, last=False)

    def take(self, choose: Callable[[str], T | None]) -> T | None:
        """Take the next item: `choose` names one of the user's, or None where this user has to wait for something.

        A user who is passed over like that saves no turns up.
        """
        passed_over: list[str] = []
        chosen: T | None = None
        while self._order and chosen is None:
            _, entry, user = heapq.heappop(self._order)
            found = self._users.get(user)
            if found is None or not found.items or found.entry != entry:
                continue
            chosen = choose(user)
            if chosen is None:
                passed_over.append(user)
            else:
                self._turn(found, found.items.pop(chosen))
                self._length -= 1
                if found.items:
                    self._push(user, found)
        for user in passed_over:
            self._push(user, self._user(user, present=chosen is not None))
        self._forget()
        return chosen

    def remove(self, user: str, item: T) -> None:
        """An item that waits no longer, if it still does."""
        found = self._users.get(user)
        if found is not None and found.items.pop(item, None) is not None:
            self._length -= 1
            self._forget()

    def _user(self, user: str, *, present: bool = False) -> UserQueue[T]:
        found = self._users.get(user)
        if found is None:
            found = self._users[user] = UserQueue(self._weight(user), self._virtual)
        if present or not found.items:
            found.virtual = max(found.virtual, self._virtual)
        return found

    def _turn(self, found: UserQueue[T], cost: float) -> None:
        self._virtual = max(self._virtual, found.virtual)
        found.virtual += cost / found.weight

    def _push(self, user: str, found: UserQueue[T]) -> None:
        self._entries += 1
        found.entry = self._entries
        heapq.heappush(self._order, (found.virtual, found.entry, user))

    def _forget(self) -> None:
        """Where nobody waits, nobody had more than others. Else, now and then: users without items whose virtual time
        is past are as if they had never been here."""
        if not self._length:
            self._users.clear()
            self._order.clear()
            self._virtual = 0.0
            return
        self._changes += 1
        if self._changes % FORGET_EVERY:
            return
        past = [name for name, user in self._users.items() if not user.items and user.virtual <= self._virtual]
        for name in past:
            del self._users[name]
        self._order = [each for each in self._order if self._is_valid(each)]
        heapq.heapify(self._order)

    def _is_valid(self, entry: tuple[float, int, str]) -> bool:
        found = self._users.get(entry[2])
        return found is not None and bool(found.items) and found.entry == entry[1]
