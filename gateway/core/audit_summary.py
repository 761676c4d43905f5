"""Which refused calls get an audit record each, and which are counted in one: a flood must not fill the disk.

Of one user and policy the first few refusals are records of their own. The next ones are counted in a window, and one
record says how many there were, when, with which keys, and which calls came first. While refusals go on, each window
is twice as long as the one before, from a minute to an hour; after an hour without any, it begins anew. So a worker
writes at most `SINGLES` + 6 single records and 6 summaries in any hour about one user, however many calls are refused.

More than `MOST_USERS` users are counted together. Time here only passes when it is told; nothing is written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

SINGLES = 3
SINGLE_EVERY_S = 600.0
"""How many refusals of a user are recorded one by one, and after which time there is one more."""
FIRST_WINDOW_S, LONGEST_WINDOW_S = 60.0, 3600.0
MOST_USERS = 512
MOST_NAMED = 4
MOST_TOLD_APART = 32


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused call; `at` in seconds since the epoch, `call` the digest of its canonical form in hex."""

    policy: str
    mode: str
    reason: str
    user: str
    team: str
    key: str
    endpoint: str
    model: str
    call: str
    at: float


@dataclass(slots=True)
class _Named:
    """The first few different values, and how many there are up to a bound."""

    first: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def add(self, value: str) -> None:
        mark = hash(value)  # salted by the interpreter: nobody can choose values that are mistaken for each other
        if mark in self.seen or len(self.seen) >= MOST_TOLD_APART:
            return
        self.seen.add(mark)
        if len(self.first) < MOST_NAMED:
            self.first.append(value)

    def join(self, later: "_Named") -> None:
        new = [value for value in later.first if value not in self.first]
        self.first += new[: MOST_NAMED - len(self.first)]
        self.seen |= set(list(later.seen)[: MOST_TOLD_APART - len(self.seen)])


@dataclass(slots=True)
class Window:
    """What was counted since it opened. `ends` is on the clock that `RefusalWindows` is told."""

    name: tuple[str, str | None]
    ends: float
    last: Refusal
    first_at: float
    refused: int = 0
    users: _Named = field(default_factory=_Named)
    keys: _Named = field(default_factory=_Named)
    endpoints: _Named = field(default_factory=_Named)
    models: _Named = field(default_factory=_Named)
    calls: _Named = field(default_factory=_Named)

    def add(self, refusal: Refusal) -> None:
        self.refused += 1
        self.last = refusal
        self.users.add(refusal.user)
        self.keys.add(refusal.key)
        self.endpoints.add(refusal.endpoint)
        self.models.add(refusal.model)
        self.calls.add(refusal.call)

    def join(self, later: "Window") -> None:
        """Count what was counted after this one as well."""
        self.refused, self.last = self.refused + later.refused, later.last
        for mine, theirs in zip(self._names(), later._names(), strict=True):
            mine.join(theirs)

    def facts(self) -> Mapping[str, object]:
        """The facts of the summarising record (kind `policy_refusals`)."""
        one = self.name[1] is not None
        facts: dict[str, object] = {
            "policy": self.last.policy,
            "mode": self.last.mode,
            "reason": self.last.reason,
            "refused": self.refused,
            "first_at": self.first_at,
            "last_at": self.last.at,
            "user": self.last.user if one else None,
            "team": self.last.team if one else None,
            "keys": self.keys.first,
            "different_keys": len(self.keys.seen),
            "endpoints": self.endpoints.first,
            "models": self.models.first,
            "calls": self.calls.first,
            "different_calls": len(self.calls.seen),
        }
        return facts if one else {**facts, "users": self.users.first, "different_users": len(self.users.seen)}

    def _names(self) -> tuple[_Named, ...]:
        return self.users, self.keys, self.endpoints, self.models, self.calls


@dataclass(slots=True)
class _Counted:
    """One user under one policy: how many single records are left, how long the next window is, the open one."""

    singles: float
    seen: float
    window_s: float = FIRST_WINDOW_S
    window: Window | None = None

    def takes_single(self, now: float) -> bool:
        self.singles = min(float(SINGLES), self.singles + (now - self.seen) / SINGLE_EVERY_S)
        self.seen = now
        if self.window is not None or self.singles < 1.0:
            return False
        self.singles -= 1.0
        return True

    def count(self, name: tuple[str, str | None], refusal: Refusal, now: float) -> None:
        if self.window is None:
            self.window = Window(name, now + self.window_s, refusal, refusal.at)
            self.window_s = min(LONGEST_WINDOW_S, 2 * self.window_s)
        self.window.add(refusal)


class RefusalWindows:
    """What one worker has counted and not yet recorded. `now` is a clock that never goes back, in seconds."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str | None], _Counted] = {}

    def __len__(self) -> int:
        return len(self._counted)

    def add(self, refusal: Refusal, now: float) -> bool:
        """Whether this refusal is to be a record of its own; if not, it has been counted."""
        name: tuple[str, str | None] = (refusal.policy, refusal.user)
        if name not in self._counted and len(self._counted) >= MOST_USERS:
            # Nobody is forgotten to make room: users who take turns would get their single records again and again.
            name = (refusal.policy, None)
        counted = self._counted.get(name)
        if counted is None:
            singles = float("-inf") if name[1] is None else float(SINGLES)
            counted = self._counted[name] = _Counted(singles, now)
        if counted.takes_single(now):
            return True
        counted.count(name, refusal, now)
        return False

    def due(self, now: float) -> list[Window]:
        """Take the windows that have ended, and forget whoever has been quiet for the longest one."""
        ended = self._take(now)
        for name, counted in list(self._counted.items()):
            if counted.window is None and now - counted.seen >= LONGEST_WINDOW_S:
                del self._counted[name]
        return ended

    def close(self) -> list[Window]:
        """Take every window, ended or not."""
        return self._take(float("inf"))

    def put_back(self, window: Window, now: float) -> None:
        """A window that could not be recorded: it is due again, with what has been counted since."""
        counted = self._counted.setdefault(window.name, _Counted(float("-inf"), now, LONGEST_WINDOW_S))
        if counted.window is not None:
            window.join(counted.window)
        counted.window = window

    def _take(self, now: float) -> list[Window]:
        ended: list[Window] = []
        for counted in self._counted.values():
            if counted.window is not None and counted.window.ends <= now:
                ended.append(counted.window)
                counted.window = None
        return ended
