"""The marks that purges leave, in the cache store: a few numbers under one key, read twice a second by every worker.

They go by the store's clock, and answers carry the time of the gateway that computed them: what was computed in the
instant of a soft purge may count as older or younger by as much as the two differ. A store that falls back on a
replica which had not heard of a purge forgets it; then purge again.
"""

from collections.abc import Mapping

from gateway.adapters.redis_connect import RedisStore, Word, load_script
from gateway.core.purge_state import Purge, PurgeState

# A purge that is not made known is worse than a short wait for a store that is busy.
PATIENT = 10


class RedisPurges:
    """`ports.PurgeStore`."""

    def __init__(self, store: RedisStore, *, prefix: str = "esmgw:") -> None:
        self._store, self._key = store, f"{prefix}marks"
        self._patient_s = PATIENT * store.timeout_s
        self._script = load_script("purge_state")

    async def purge_state(self) -> PurgeState:
        return await self._run("purge_state", "", "")

    async def purge(self, what: Purge) -> PurgeState:
        age = f"{what.older_than_s or 0.0:.3f}"
        if what.soft:
            return await self._run("purge", "soft", what.model, age)
        if what.older_than_s is not None:
            return await self._run("purge", "gone", "", age)
        return await self._run("purge", "hard", what.model)

    async def touch(self) -> PurgeState:
        return await self._run("touch", "touch", "")

    async def _run(self, operation: str, *words: Word) -> PurgeState:
        flat: list[bytes] = await self._store.run(operation, self._script, (self._key,), words, self._patient_s)
        fields = {name.decode(): float(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
        return PurgeState(
            epoch=int(fields["epoch"]),
            serial=int(fields["serial"]),
            models={model: int(number) for model, number in _under(fields, "model ").items()},
            purged_before=fields.get("floor", 0.0),
            stale=_under(fields, "stale "),
        )


def _under(fields: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): number for name, number in fields.items() if name.startswith(prefix)}
