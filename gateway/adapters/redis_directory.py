"""Virtual keys and approvals in the state store, sealed: who can write to the store can make no key and no approval.

A record that was forged, changed or moved to another place counts as unknown, and is counted. What sealing cannot show
is that an older, genuine record was put back in a newer one's place (a revocation undone); the audit record of the
revocation remains. Nothing is cached here.
"""

from collections.abc import Sequence

from gateway.adapters.directory_codec import read_approvals, read_key, write_approvals, write_key
from gateway.adapters.redis_connect import RedisStore, load_script
from gateway.core.metrics import STORE_ERRORS
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.core.types import Approval, KeyRecord
from gateway.ports import Clock, Meter, StoreUnavailable

# How often a change of a user's approvals is tried against others who change them at the same moment.
TRIES = 16


class RedisDirectory:
    """`ports.Directory`. `sealing_key` is `envelope.derive(secret, "directory")`."""

    def __init__(
        self, store: RedisStore, sealing_key: bytes, clock: Clock, meter: Meter, *, prefix: str = "esmgw:"
    ) -> None:
        self._store = store
        self._key = sealing_key
        self._clock = clock
        self._meter = meter
        self._records = f"{prefix}{{keys}}:records"
        self._approvals = f"{prefix}{{keys}}:grants"
        self._epoch = f"{prefix}{{keys}}:epoch"
        self._put_field = load_script("put_field")

    async def find(self, public_id: str) -> tuple[KeyRecord, tuple[Approval, ...]] | None:
        blob: bytes | None = await self._store.call("find", "HGET", self._records, public_id)
        record = self._open_key(public_id, blob)
        return None if record is None else (record, await self._approvals_of(record.user, "find"))

    async def epoch(self) -> int:
        number: bytes | None = await self._store.call("epoch", "GET", self._epoch)
        return int(number or 0)

    async def put_key(self, record: KeyRecord) -> None:
        blob = self._seal(f"key:{record.public_id}", write_key(record))
        await self._store.run(
            "put_key", self._put_field, (self._records, self._epoch), (record.public_id, blob, "any", "")
        )

    async def put_approval(self, approval: Approval) -> None:
        """Add one, or replace the one with its id; StoreUnavailable where others never stop changing them."""
        for _ in range(TRIES):
            before: bytes | None = await self._store.call("put_grant", "HGET", self._approvals, approval.user)
            held = {old.approval_id: old for old in self._open_grants(approval.user, before)}
            blob = self._seal(
                f"grants:{approval.user}", write_approvals(tuple({**held, approval.approval_id: approval}.values()))
            )
            words = (approval.user, blob, "same", before or b"")
            if await self._store.run("put_grant", self._put_field, (self._approvals, self._epoch), words) == 1:
                return
        raise StoreUnavailable("put_grant")

    async def keys(self) -> Sequence[KeyRecord]:
        """All that are genuine, the oldest first."""
        rows: dict[bytes, bytes] = await self._store.call("keys", "HGETALL", self._records)
        records = (self._open_key(name.decode(errors="replace"), blob) for name, blob in rows.items())
        return sorted((record for record in records if record), key=lambda record: (record.created, record.public_id))

    async def approvals(self, user: str) -> Sequence[Approval]:
        return await self._approvals_of(user, "approvals")

    async def _approvals_of(self, user: str, operation: str) -> tuple[Approval, ...]:
        return self._open_grants(user, await self._store.call(operation, "HGET", self._approvals, user))

    def _open_key(self, public_id: str, blob: bytes | None) -> KeyRecord | None:
        content = self._unseal(f"key:{public_id}", blob)
        record = None if content is None else read_key(content)
        if content is not None and record is None:
            self._meter.count(STORE_ERRORS, "state", "unreadable")
        return record

    def _open_grants(self, user: str, blob: bytes | None) -> tuple[Approval, ...]:
        content = self._unseal(f"grants:{user}", blob)
        approvals = () if content is None else read_approvals(content)
        if approvals is None:
            self._meter.count(STORE_ERRORS, "state", "unreadable")
        return approvals or ()

    def _seal(self, address: str, content: bytes) -> bytes:
        return seal(self._key, address, content, self._clock.token(NONCE_BYTES))

    def _unseal(self, address: str, blob: bytes | None) -> bytes | None:
        content = None if blob is None else unseal(self._key, address, blob)
        if blob is not None and content is None:
            self._meter.count(STORE_ERRORS, "state", "forged")
        return content
