"""What was purged, in the cache store: a few numbers under one key, read twice a second by every worker.

Purges are timed by the store's clock, answers by the clock of the gateway that computed them. So an answer computed at
the moment of a soft purge may fall on either side of it, by as much as the clocks differ. After a failover to a replica
that had not received a purge, that purge is lost; then purge again.
"""

from collections.abc import Mapping

from gateway.adapters.redis_connect import RedisStore, Word, as_stored, finite_number, load_script
from gateway.core.purge_state import Purge, PurgeState

# A purge that fails is worse than a short wait for a busy store.
PATIENT_DEADLINES = 10


class RedisPurges:
    """`ports.PurgeStore`."""

    def __init__(self, store: RedisStore, *, prefix: str = "esmgw:") -> None:
        self._store, self._key = store, f"{prefix}purge_state"
        self._patient_s = PATIENT_DEADLINES * store.timeout_s
        self._script = load_script("purge_state")

    async def purge_state(self) -> PurgeState:
        return await self._run("purge_state", "", "")

    async def purge(self, what: Purge) -> PurgeState:
        age = f"{what.older_than_s or 0.0:.3f}"
        if what.soft:
            return await self._run("purge", "mark_stale", what.model, age)
        if what.older_than_s is not None:
            return await self._run("purge", "purge_older", "", age)
        return await self._run("purge", "purge", what.model)

    async def touch(self) -> PurgeState:
        return await self._run("touch", "touch", "")

    async def _run(self, operation: str, *words: Word) -> PurgeState:
        flat: list[bytes] = await self._store.run(operation, self._script, (self._key,), words, self._patient_s)
        with as_stored(operation):
            fields = {name.decode(): finite_number(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
            return PurgeState(
                epoch=int(fields["epoch"]),
                serial=int(fields["serial"]),
                models={model: int(number) for model, number in _with_prefix(fields, "model ").items()},
                purged_before=fields.get("purged_before", 0.0),
                stale=_with_prefix(fields, "stale "),
            )


def _with_prefix(fields: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): number for name, number in fields.items() if name.startswith(prefix)}
