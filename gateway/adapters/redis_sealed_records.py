"""Which master secret has sealed the records of the state store, and sealing them with the present one.

The heads of the audit chains are left out: each is sealed anew with the next record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.adapters.redis_connect import RedisStore, load_script
from gateway.core.sealing import NONCE_BYTES, is_current, seal, unseal
from gateway.ports import Clock, SealedRecord


@dataclass(frozen=True, slots=True)
class _Hash:
    """A hash of sealed records: what they are, its name, and what precedes a field's name in the sealed address."""

    kind: str
    name: str
    address: str


class RedisSealedRecords:
    """`ports.SealedRecords`, over the hashes of `RedisDirectory` and `RedisNamespaces`; `sealing_key` is theirs."""

    def __init__(self, store: RedisStore, sealing_key: bytes, clock: Clock, *, prefix: str = "esmgw:") -> None:
        self._store, self._key, self._clock = store, sealing_key, clock
        self._put_field = load_script("put_field")
        self._hashes = (
            _Hash("key", f"{prefix}{{keys}}:records", "key:"),
            _Hash("approvals", f"{prefix}{{keys}}:approvals", "approvals:"),
            _Hash("namespace", f"{prefix}namespaces", "namespace:"),
        )

    async def records(self) -> Sequence[SealedRecord]:
        found: list[SealedRecord] = []
        for each in self._hashes:
            for name, blob in (await self._fields(each)).items():
                current = is_current(self._key, each.address + name, blob)
                if current or unseal(self._key, each.address + name, blob) is not None:
                    found.append(SealedRecord(each.kind, name, current))
        return found

    async def reseal(self) -> int:
        count = 0
        for each in self._hashes:
            for name, blob in (await self._fields(each)).items():
                address = each.address + name
                content = None if is_current(self._key, address, blob) else unseal(self._key, address, blob)
                if content is not None:
                    sealed = seal(self._key, address, content, self._clock.token(NONCE_BYTES))
                    # One that has changed since was sealed by whoever changed it.
                    words = (name, sealed, "if_equal", blob)
                    count += await self._store.run("reseal", self._put_field, (each.name,), words)
        return count

    async def _fields(self, each: _Hash) -> dict[str, bytes]:
        rows: dict[bytes, bytes] = await self._store.call("sealed_records", "HGETALL", each.name)
        return {name.decode(errors="replace"): blob for name, blob in rows.items()}
