"""The heads of the audit chains in the state store: they reveal that records were cut off the end of a file.

A head is sealed and only moves forward. Somebody who can restore both an older file and an older head is not detected;
keep a copy of the head where neither is reachable.
"""

import orjson

from gateway.adapters.redis_connect import RedisStore, as_stored, load_script
from gateway.core.audit import ChainHead
from gateway.core.metrics import STORE_ERRORS
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.ports import Clock, Meter


class RedisAuditHead:
    """Heads by the name of their chain. `sealing_key` is `sealing.derive_key(secret, "directory")`."""

    def __init__(
        self, store: RedisStore, sealing_key: bytes, clock: Clock, meter: Meter, *, prefix: str = "esmgw:"
    ) -> None:
        self._store = store
        self._key = sealing_key
        self._clock = clock
        self._meter = meter
        self._heads = f"{prefix}{{audit}}:heads"
        self._put_head = load_script("put_head")

    async def put(self, chain: str, head: ChainHead) -> bool:
        """Store it; False where a later one is stored already. Raises StoreUnavailable."""
        content = orjson.dumps([head.seq, head.mac])
        blob = seal(self._key, f"audit-head:{chain}", content, self._clock.token(NONCE_BYTES))
        stored: int = await self._store.run("put_head", self._put_head, (self._heads,), (chain, head.seq, blob))
        return stored == 1

    async def get(self, chain: str) -> ChainHead | None:
        """The stored head; None where there is none, or a forged one (counted). Raises StoreUnavailable."""
        row: bytes | None = await self._store.call("get_head", "HGET", self._heads, chain)
        if row is None:
            return None
        seq_shown, _, blob = row.partition(b":")
        content = unseal(self._key, f"audit-head:{chain}", blob)
        with as_stored("get_head"):
            seq, mac = orjson.loads(content) if content is not None else (0, "")
        if content is None or seq_shown != b"%d" % seq:
            self._meter.count(STORE_ERRORS, "state", "forged")
            return None
        return ChainHead(seq, mac)
