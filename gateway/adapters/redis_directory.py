"""Virtual keys and approvals in the state store, sealed: write access to the store is not enough to create them.

A record that was forged, changed or moved is treated as absent, and counted. Sealing cannot reveal that an older
genuine record was restored (a revocation undone); the audit record of the revocation remains. Nothing is cached here.
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.adapters.directory_codec import decode_approvals, decode_key, encode_approvals, encode_key
from gateway.adapters.redis_connect import RedisStore, as_stored, load_script, whole_number
from gateway.core.metrics import STORE_ERRORS
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.core.types import Approval, KeyRecord
from gateway.ports import Clock, Meter, StoreUnavailable

# Attempts to change a user's approvals while others change them at the same moment.
ATTEMPTS = 16


class RedisDirectory:
    """`ports.Directory`. `sealing_key` is `sealing.derive_key(secret, "directory")`."""

    def __init__(
        self, store: RedisStore, sealing_key: bytes, clock: Clock, meter: Meter, *, prefix: str = "esmgw:"
    ) -> None:
        self._store = store
        self._key = sealing_key
        self._clock = clock
        self._meter = meter
        self._records = f"{prefix}{{keys}}:records"
        self._approvals = f"{prefix}{{keys}}:approvals"
        self._epoch = f"{prefix}{{keys}}:epoch"
        self._put_field = load_script("put_field")

    async def find(self, public_id: str) -> tuple[KeyRecord, tuple[Approval, ...]] | None:
        blob: bytes | None = await self._store.call("find", "HGET", self._records, public_id)
        record = self._unseal_key(public_id, blob)
        return None if record is None else (record, await self._approvals_of(record.user, "find"))

    async def epoch(self) -> int:
        number: bytes | None = await self._store.call("epoch", "GET", self._epoch)
        with as_stored("epoch"):
            return whole_number(number or b"0")

    async def put_key(self, record: KeyRecord) -> None:
        blob = self._seal(f"key:{record.public_id}", encode_key(record))
        await self._store.run(
            "put_key", self._put_field, (self._records, self._epoch), (record.public_id, blob, "always", "")
        )

    async def rehash(self, public_id: str, before: str, digest: str) -> bool:
        blob: bytes | None = await self._store.call("rehash", "HGET", self._records, public_id)
        record = self._unseal_key(public_id, blob)
        if blob is None or record is None or record.digest != before:
            return False
        changed = self._seal(f"key:{public_id}", encode_key(replace(record, digest=digest)))
        words = (public_id, changed, "if_equal", blob)
        return bool(await self._store.run("rehash", self._put_field, (self._records,), words))

    async def put_approval(self, approval: Approval) -> None:
        """Add one, or replace the one with its id. StoreUnavailable where concurrent changes never stop."""
        for _ in range(ATTEMPTS):
            before: bytes | None = await self._store.call("put_approval", "HGET", self._approvals, approval.user)
            existing = {old.approval_id: old for old in self._unseal_approvals(approval.user, before)}
            blob = self._seal(
                f"approvals:{approval.user}",
                encode_approvals(tuple({**existing, approval.approval_id: approval}.values())),
            )
            words = (approval.user, blob, "if_equal", before or b"")
            if await self._store.run("put_approval", self._put_field, (self._approvals, self._epoch), words) == 1:
                return
        raise StoreUnavailable("put_approval", "busy")

    async def keys(self) -> Sequence[KeyRecord]:
        """All genuine ones, oldest first."""
        rows: dict[bytes, bytes] = await self._store.call("keys", "HGETALL", self._records)
        records = (self._unseal_key(name.decode(errors="replace"), blob) for name, blob in rows.items())
        return sorted((record for record in records if record), key=lambda record: (record.created, record.public_id))

    async def approvals(self, user: str) -> Sequence[Approval]:
        return await self._approvals_of(user, "approvals")

    async def _approvals_of(self, user: str, operation: str) -> tuple[Approval, ...]:
        return self._unseal_approvals(user, await self._store.call(operation, "HGET", self._approvals, user))

    def _unseal_key(self, public_id: str, blob: bytes | None) -> KeyRecord | None:
        content = self._unseal(f"key:{public_id}", blob)
        record = None if content is None else decode_key(content)
        if content is not None and record is None:
            self._meter.count(STORE_ERRORS, "state", "unreadable")
        return record

    def _unseal_approvals(self, user: str, blob: bytes | None) -> tuple[Approval, ...]:
        content = self._unseal(f"approvals:{user}", blob)
        approvals = () if content is None else decode_approvals(content)
        if approvals is None:
            self._meter.count(STORE_ERRORS, "state", "unreadable")
        return approvals or ()

    def _seal(self, context: str, content: bytes) -> bytes:
        return seal(self._key, context, content, self._clock.token(NONCE_BYTES))

    def _unseal(self, context: str, blob: bytes | None) -> bytes | None:
        content = None if blob is None else unseal(self._key, context, blob)
        if blob is not None and content is None:
            self._meter.count(STORE_ERRORS, "state", "forged")
        return content
