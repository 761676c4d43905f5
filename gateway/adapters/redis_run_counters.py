"""The counters of sampled runs in the state store: exact over all workers, bounded for each user, expiring by TTL.

Both hashes of a user have one hash tag; they are named by a digest of the user, and counters by a digest of run and
call, so nothing about either can be read from them. The script is `lua/sample_run.lua`.
"""

from collections.abc import Callable

from gateway.adapters.redis_connect import RedisStore, Word, as_stored, load_script

# A user may repeat so many different calls of all runs together before those that rest longest are forgotten.
MOST_COUNTERS = 50_000
# A counter is forgotten when it has rested for one to two of these.
AGE_S = 7 * 86_400


class RedisRunCounters:
    """`ports.RunCounters`. `now` (seconds since the epoch) overrides the store's clock, for tests."""

    def __init__(
        self,
        store: RedisStore,
        *,
        prefix: str = "esmgw:",
        now: Callable[[], float] | None = None,
        most: int = MOST_COUNTERS,
    ) -> None:
        self._store, self._prefix, self._now, self._most = store, prefix, now, most
        self._script = load_script("sample_run")

    async def next(self, owner: str, counter: str, highest: int) -> int | None:
        words: list[Word] = ["next", self._time(), counter, highest, self._most, AGE_S, 2 * AGE_S]
        number = await self._store.run("sample_run", self._script, self._keys(owner), words)
        with as_stored("sample_run"):
            return int(number) or None

    async def give_back(self, owner: str, counter: str, number: int) -> None:
        words: list[Word] = ["back", self._time(), counter, number]
        await self._store.run("sample_run", self._script, self._keys(owner), words)

    def _time(self) -> Word:
        return "" if self._now is None else round(self._now())

    def _keys(self, owner: str) -> tuple[str, str]:
        return f"{self._prefix}runs:{{{owner}}}:young", f"{self._prefix}runs:{{{owner}}}:old"
