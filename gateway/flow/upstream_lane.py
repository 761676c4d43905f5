"""The calls that wait for one sort of upstream keys, and for how long rests have held them up.

A user's calls *rest* while no key and no circuit lets any of them through; they are merely in line while every place is
taken. Only rests use up a caller's patience.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.core.breaker import Breaker
from gateway.core.fair_queue import FairQueue
from gateway.core.upstream_key import LOOK_AGAIN_S, UpstreamKey

PROBE_CHOICE = 32
"""Among so many of a user's waiting calls, one is sought that has not failed before, to be the probe."""
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class PlaceRequest:
    """Whose call wants a place, which one (its canonical digest), what it costs, and how long it may wait.

    `patience_s` is for rests of keys and open circuits; `deadline` (monotonic) is for everything.
    """

    user: str
    call: bytes
    units: int
    concern: bool
    patience_s: float
    deadline: float


@dataclass(slots=True, eq=False)
class Place:
    """A call's place while it is at the upstream, with the key that it is sent with."""

    key: UpstreamKey
    request: PlaceRequest
    sent_at: float
    rested_s: float = 0.0
    """For how long rests held the call up before."""


@dataclass(slots=True, eq=False)
class Waiter:
    """A call that waits. `rested_before`: how long its user's calls had rested before it came."""

    request: PlaceRequest
    rested_before: float
    turn: "asyncio.Future[Place]"


@dataclass(slots=True)
class Rest:
    """How long one user's waiting calls have rested, and when the first of them loses patience if that goes on."""

    total_s: float = 0.0
    since: float | None = None
    expires: float = NEVER

    def seconds(self, now: float) -> float:
        return self.total_s + (0.0 if self.since is None else now - self.since)

    def patience_left(self, waiter: Waiter, now: float) -> float:
        return waiter.request.patience_s - (self.seconds(now) - waiter.rested_before)


class Lane:
    """`keys` take the calls of this lane and no others."""

    def __init__(self, keys: Sequence[UpstreamKey], breaker: Breaker, weight: Callable[[str], float]) -> None:
        self.keys, self._breaker = tuple(keys), breaker
        self._waiting: FairQueue[Waiter] = FairQueue(weight)
        self._rests: dict[str, Rest] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request: PlaceRequest, turn: "asyncio.Future[Place]", now: float, *, again: bool) -> Waiter:
        """One more call; one that had its turn before is not charged for it twice, and is the user's next."""
        rest = self._rests.setdefault(request.user, Rest())
        waiter = Waiter(request, rest.seconds(now), turn)
        self._waiting.add(request.user, waiter, 0.0 if again else float(request.units), at_front=again)
        if rest.since is not None:
            rest.expires = min(rest.expires, now + request.patience_s)
        return waiter

    def remove(self, waiter: Waiter) -> None:
        self._waiting.remove(waiter.request.user, waiter)

    def forget(self, user: str) -> None:
        """Where none of a user's calls waits any more, there is no rest to remember."""
        if not self._waiting.waits(user):
            self._rests.pop(user, None)

    def take(self, now: float) -> tuple[Waiter, UpstreamKey] | None:
        """The next call, and the key for it; None where none may go now."""
        if not self._waiting or not self._may_have_room():
            return None
        keys: list[UpstreamKey] = []

        def choose(user: str) -> Waiter | None:
            resting = self.seconds_left(user, now) > 0
            self._note(user, now, resting)
            key = None if resting else self._key_for(user, now)
            if key is None or not self._breaker.try_acquire(now, user):
                return None
            keys.append(key)
            return self._probe(user)

        waiter = self._waiting.take(choose)
        return None if waiter is None else (waiter, keys[0])

    def seconds_left(self, user: str, now: float) -> float:
        """Seconds of rest before a call of this user may go."""
        key_s = min(key.seconds_left(now, user) for key in self.keys)
        return max(key_s, self._breaker.seconds_left(now, user))

    def rested_s(self, waiter: Waiter, now: float) -> float:
        """How long rests have held this call up."""
        return self._rests[waiter.request.user].seconds(now) - waiter.rested_before

    def is_overdue(self, waiter: Waiter, now: float) -> bool:
        """Whether this call rests, and its caller's patience is used up."""
        rest = self._rests.get(waiter.request.user)
        return rest is not None and rest.since is not None and rest.patience_left(waiter, now) <= 0

    def overdue(self, now: float) -> Iterator[Waiter]:
        """The calls that rest and whose callers' patience is used up."""
        for user, rest in list(self._rests.items()):
            if now < rest.expires:
                continue
            rest.expires = NEVER
            for waiter in self._waiting.first(user, len(self._waiting)):
                left = rest.patience_left(waiter, now)
                if left <= 0:
                    yield waiter
                else:
                    rest.expires = min(rest.expires, now + left)

    def next_event(self, now: float) -> float:
        """When a rest ends, a caller loses patience, or a key may be looked at again."""
        if not self._waiting:
            return NEVER
        looks = [key.sent_at + LOOK_AGAIN_S for key in self.keys if key.looks > 0 and key.in_flight > 0]
        times = [at for at in looks if at > now]
        for user, rest in self._rests.items():
            if rest.since is not None:
                times += rest.expires, now + self.seconds_left(user, now)
        return min(times, default=NEVER)

    def _may_have_room(self) -> bool:
        """False only where a call of nobody could go now: then nobody needs to be asked."""
        return any(key.looks > 0 or key.in_flight < max(1, int(key.window)) for key in self.keys)

    def _key_for(self, user: str, now: float) -> UpstreamKey | None:
        """The key with the fewest calls in flight that takes one of this user now; one that has just refused, last."""
        free = [key for key in self.keys if key.has_room(now, user)]
        return min(free, key=lambda key: (key.looks, key.in_flight), default=None)

    def _probe(self, user: str) -> Waiter:
        waiting = self._waiting.first(user, PROBE_CHOICE)
        others = (each for each in waiting if not self._breaker.is_suspect(user, each.request.call))
        return next(others, waiting[0])

    def _note(self, user: str, now: float, resting: bool) -> None:
        rest = self._rests[user]
        if resting and rest.since is None:
            rest.since = now
            waiting = self._waiting.first(user, len(self._waiting))
            rest.expires = now + min(rest.patience_left(waiter, now) for waiter in waiting)
        elif not resting and rest.since is not None:
            rest.total_s, rest.since, rest.expires = rest.seconds(now), None, NEVER
