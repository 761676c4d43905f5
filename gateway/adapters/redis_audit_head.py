"""The heads of the audit chains in the state store: they reveal that records were cut off the end of a file.

A head is kept under its chain's identity, is sealed, and only moves forward. Somebody who can restore both an older
file and an older head is not detected by it; the log has the heads as well (`witnessed_audit.py`).
"""

from collections.abc import Mapping

import orjson

from gateway.adapters.redis_connect import RedisStore, as_stored, load_script
from gateway.core.audit import ChainHead, StoredHead
from gateway.core.metrics import STORE_ERRORS
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.ports import Clock, Meter


class RedisAuditHead:
    """Heads by the identity of their chain. `sealing_key` is `sealing.derive_key(secret, "directory")`."""

    def __init__(
        self, store: RedisStore, sealing_key: bytes, clock: Clock, meter: Meter, *, prefix: str = "esmgw:"
    ) -> None:
        self._store = store
        self._key = sealing_key
        self._clock = clock
        self._meter = meter
        self._heads = f"{prefix}{{audit}}:heads"
        self._put_head = load_script("put_head")

    async def put(self, chain: str, stored: StoredHead) -> bool:
        """Store it; False where a later one is stored already. Raises StoreUnavailable."""
        content = orjson.dumps([stored.head.seq, stored.head.mac, stored.place, stored.at])
        blob = seal(self._key, _context(chain), content, self._clock.token(NONCE_BYTES))
        words = (chain, stored.head.seq, blob)
        answer: int = await self._store.run("put_head", self._put_head, (self._heads,), words)
        return answer == 1

    async def get(self, chain: str) -> StoredHead | None:
        """The stored head; None where there is none, or a forged one (counted). Raises StoreUnavailable."""
        row: bytes | None = await self._store.call("get_head", "HGET", self._heads, chain)
        head = None if row is None else self._unseal(chain, row)
        if row is not None and head is None:
            self._meter.count(STORE_ERRORS, "state", "forged")
        return head

    async def at_place(self, place: str) -> Mapping[str, StoredHead]:
        """The chains that were last written to this file, on whatever machine."""
        rows = await self._rows()
        heads = {chain: self._unseal(chain, row) for chain, row in rows.items() if not _is_old(chain)}
        return {chain: head for chain, head in heads.items() if head is not None and head.place == place}

    async def old_heads(self, place: str) -> Mapping[str, ChainHead]:
        """Heads from before chains had an identity: by the name of a machine and this file."""
        found: dict[str, ChainHead] = {}
        for name, row in (await self._rows()).items():
            content = unseal(self._key, _context(name), row.partition(b":")[2]) if name.endswith(f":{place}") else None
            if content is not None:
                with as_stored("get_head"):
                    found[name] = ChainHead(*orjson.loads(content))
        return found

    async def _rows(self) -> Mapping[str, bytes]:
        rows: dict[bytes, bytes] = await self._store.call("get_head", "HGETALL", self._heads)
        return {name.decode(errors="replace"): row for name, row in rows.items()}

    def _unseal(self, chain: str, row: bytes) -> StoredHead | None:
        seq_shown, _, blob = row.partition(b":")
        content = unseal(self._key, _context(chain), blob)
        if content is None:
            return None
        with as_stored("get_head"):
            seq, mac, place, at = orjson.loads(content)
            return StoredHead(ChainHead(seq, mac), place, float(at)) if seq_shown == b"%d" % seq else None


def _context(chain: str) -> str:
    return f"audit-head:{chain}"


def _is_old(name: str) -> bool:
    return ":" in name
