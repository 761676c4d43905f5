"""Who has been told what lately, in this process's memory: for tests. The gateway never runs on it."""

from collections.abc import Callable

from tests.fakes.stores import Journal, Recorder


class FakeThrottle(Recorder):
    part = "throttle"

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        super().__init__(journal)
        self._now = now
        self._until: dict[tuple[str, str], float] = {}

    async def first(self, topic: str, key: str, ttl_s: float) -> bool:
        with self.effect("first", topic, key):
            now = self._now()
            if self._until.get((topic, key), 0.0) > now:
                return False
            self._until[(topic, key)] = now + ttl_s
            return True
