"""The marks that purges leave, in the cache store: a few numbers under one key, read twice a second by every worker."""

from typing import Any

from gateway.adapters.redis_connect import RedisStore, Word, load_script
from gateway.core.marks import Marks, Purge

# A purge that is not made known is worse than a short wait for a store that is busy.
PATIENT = 10


class RedisPurges:
    """`ports.Purges`."""

    def __init__(self, store: RedisStore, *, prefix: str = "esmgw:") -> None:
        self._store, self._key = store, f"{prefix}marks"
        self._patient_s = PATIENT * store.timeout_s
        self._script = load_script("marks")

    async def marks(self) -> Marks:
        return await self._run("marks", "", "")

    async def purge(self, what: Purge) -> Marks:
        if what.older_than_s is not None:
            return await self._run("purge", "age", "", f"{what.older_than_s:.3f}")
        return await self._run("purge", "soft" if what.soft else "hard", what.model)

    async def touch(self) -> Marks:
        return await self._run("touch", "touch", "")

    async def _run(self, operation: str, *words: Word) -> Marks:
        flat: list[bytes] = await self._store.run(operation, self._script, (self._key,), words, self._patient_s)
        fields = {name.decode(): float(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
        return Marks(
            epoch=int(fields["epoch"]),
            serial=int(fields["serial"]),
            models={model: int(number) for model, number in _under(fields, "model ")},
            floor=fields.get("floor", 0.0),
            stale=dict(_under(fields, "stale ")),
        )


def _under(fields: dict[str, float], prefix: str) -> list[tuple[str, Any]]:
    return [(name.removeprefix(prefix), number) for name, number in fields.items() if name.startswith(prefix)]
