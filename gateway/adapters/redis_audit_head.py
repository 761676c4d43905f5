"""Where each audit chain stands, kept in the state store: what shows that whole lines were cut off the end of a file.

The head is sealed and only moves forward. Somebody who can restore both an older file and an older head is not caught
by it; keep a copy of the head where neither reaches.
"""

import orjson

from gateway.adapters.redis_connect import RedisStore, load_script
from gateway.core.audit import ChainHead
from gateway.core.metrics import STORE_ERRORS
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.ports import Clock, Meter


class RedisAuditHead:
    """Heads by the name of their chain. `sealing_key` is `envelope.derive(secret, "directory")` or one of its own."""

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
        """Keep it; False where a later one is kept already. Lost: StoreUnavailable."""
        content = orjson.dumps([head.seq, head.mac])
        blob = seal(self._key, f"audit-head:{chain}", content, self._clock.token(NONCE_BYTES))
        kept: int = await self._store.run("put_head", self._put_head, (self._heads,), (chain, head.seq, blob))
        return kept == 1

    async def get(self, chain: str) -> ChainHead | None:
        """The head last kept, or None where there is none, or a forged one (counted). Lost: StoreUnavailable."""
        row: bytes | None = await self._store.call("get_head", "HGET", self._heads, chain)
        if row is None:
            return None
        shown, _, blob = row.partition(b":")
        content = unseal(self._key, f"audit-head:{chain}", blob)
        seq, mac = orjson.loads(content) if content is not None else (0, "")
        if content is None or shown != b"%d" % seq:
            self._meter.count(STORE_ERRORS, "state", "forged")
            return None
        return ChainHead(seq, mac)
