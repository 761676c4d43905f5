"""Decisions that narrow, in the state store: sealed, beside the records that they are about, and never deleted.

They are for instances that have not seen them yet. One that has does not need the store to go on obeying them.
"""

from collections.abc import Sequence

import orjson

from gateway.adapters.redis_connect import RedisStore, as_stored, load_script
from gateway.core.decisions import Acceptance, FinalDecision
from gateway.core.metrics import STORE_ERRORS
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.ports import Clock, Meter

AT_ONCE = 256
_ACCEPTANCE = "state-accepted"


class RedisDecisions:
    """`ports.DecisionStore`. `sealing_key` is `sealing.derive_key(secret, "directory")`."""

    def __init__(
        self, store: RedisStore, sealing_key: bytes, clock: Clock, meter: Meter, *, prefix: str = "esmgw:"
    ) -> None:
        self._store, self._key, self._clock, self._meter = store, sealing_key, clock, meter
        self._decisions, self._epoch = f"{prefix}{{keys}}:decisions", f"{prefix}{{keys}}:epoch"
        self._records, self._accepted = f"{prefix}{{keys}}:records", f"{prefix}{{keys}}:accepted"
        self._add = load_script("add_fields")

    async def subjects(self) -> frozenset[str]:
        names: list[bytes] = await self._store.call("decisions", "HKEYS", self._decisions)
        return frozenset(name.decode(errors="replace") for name in names)

    async def read(self, subjects: Sequence[str]) -> Sequence[FinalDecision]:
        found: list[FinalDecision] = []
        for start in range(0, len(subjects), AT_ONCE):
            some = subjects[start : start + AT_ONCE]
            blobs: list[bytes | None] = await self._store.call("decisions", "HMGET", self._decisions, *some)
            read = [self._decision(subject, blob) for subject, blob in zip(some, blobs, strict=True)]
            found += [decision for decision in read if decision is not None]
        return found

    async def add(self, decisions: Sequence[FinalDecision]) -> int:
        added = 0
        for start in range(0, len(decisions), AT_ONCE):
            words: list[str | bytes] = []
            for decision in decisions[start : start + AT_ONCE]:
                content = orjson.dumps([decision.at, decision.number])
                words += [decision.subject, self._seal(f"decision:{decision.subject}", content)]
            added += int(await self._store.run("decide", self._add, (self._decisions, self._epoch), words))
        return added

    async def keys_held(self) -> int:
        held: int = await self._store.call("decisions", "HLEN", self._records)
        return held

    async def acceptance(self) -> Acceptance | None:
        blob: bytes | None = await self._store.call("decisions", "GET", self._accepted)
        content = self._unseal(_ACCEPTANCE, blob)
        if content is None:
            return None
        with as_stored("decisions"):
            at, number, keys = orjson.loads(content)
            return Acceptance(float(at), int(number), int(keys))

    async def accept(self, acceptance: Acceptance) -> None:
        content = orjson.dumps([acceptance.at, acceptance.number, acceptance.keys])
        await self._store.call("accept", "SET", self._accepted, self._seal(_ACCEPTANCE, content))

    def _decision(self, subject: str, blob: bytes | None) -> FinalDecision | None:
        content = self._unseal(f"decision:{subject}", blob)
        if content is None:
            return None
        with as_stored("decisions"):
            at, number = orjson.loads(content)
            return FinalDecision(subject, float(at), int(number))

    def _seal(self, context: str, content: bytes) -> bytes:
        return seal(self._key, context, content, self._clock.token(NONCE_BYTES))

    def _unseal(self, context: str, blob: bytes | None) -> bytes | None:
        content = None if blob is None else unseal(self._key, context, blob)
        if blob is not None and content is None:
            self._meter.count(STORE_ERRORS, "state", "forged")
        return content
