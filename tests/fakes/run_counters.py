"""Numbers of samples in this process's memory: for tests. The gateway never runs on it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.adapters.redis_run_counters import AGE_S
from tests.fakes.stores import Journal, Recorder


@dataclass
class Counter:
    highest: int = 0
    free: list[int] = field(default_factory=list)


@dataclass
class Owner:
    """The counters of one owner: those in use, and those that rest."""

    began: float
    young: dict[str, Counter] = field(default_factory=dict)
    old: dict[str, Counter] = field(default_factory=dict)


class FakeRunCounters(Recorder):
    part = "run_counters"

    def __init__(self, journal: Journal, now: Callable[[], float], most: int = 1000) -> None:
        super().__init__(journal)
        self._now, self._most = now, most
        self.owners: dict[str, Owner] = {}

    async def next(self, owner: str, counter: str, highest: int) -> int | None:
        with self.effect("next", owner, counter):
            held = self.owners.setdefault(owner, Owner(self._now()))
            found = held.young.get(counter) or held.old.get(counter) or Counter()
            if not found.free and found.highest >= highest:
                return None
            if self._now() - held.began >= AGE_S or len(held.young) >= self._most:
                held.young, held.old, held.began = {}, held.young, self._now()
            held.old.pop(counter, None)
            held.young[counter] = found
            if found.free:
                return found.free.pop(0)
            found.highest += 1
            return found.highest

    async def give_back(self, owner: str, counter: str, number: int) -> None:
        with self.effect("give_back", owner, counter, number):
            held = self.owners.get(owner, Owner(0.0))
            found = held.young.get(counter) or held.old.get(counter)
            if found is not None and number <= found.highest and number not in found.free:
                found.free = sorted([*found.free, number])
