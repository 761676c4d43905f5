"""Records that another master sealed: told, sealed anew, and never put back over what changed meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from gateway.adapters.clock import SystemClock
from gateway.adapters.prometheus import PrometheusMeter
from gateway.adapters.redis_connect import RedisStore, Script, Word, connect
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_sealed_records import RedisSealedRecords
from gateway.core.sealing import Secret, derive_key
from gateway.core.types import KeyRecord
from gateway.ports import SealedRecord
from tests.contracts.servers import Stores

OLD, BOTH = (derive_key(each, "directory") for each in (b"o" * 32, Secret(b"n" * 32, [b"o" * 32])))
RECORD = KeyRecord("k1", "0" * 64, "ada", "lab", 1.0)


class Interrupted:
    """A store on which somebody else acts right before a script runs."""

    def __init__(self, store: RedisStore, act: Any) -> None:
        self._store, self._act = store, act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def run(self, operation: str, script: Script, keys: Sequence[str], words: Sequence[Word]) -> Any:
        await self._act()
        return await self._store.run(operation, script, keys, words)


def test_a_revocation_while_records_are_sealed_anew_stands(stores: Stores) -> None:
    async def story() -> None:
        prefix, clock = f"{uuid4().hex}:", SystemClock()
        store = connect(stores.state.url, timeout_s=5.0, name="records")
        old, new = (RedisDirectory(store, key, clock, PrometheusMeter("1"), prefix=prefix) for key in (OLD, BOTH))
        await old.put_key(RECORD)
        await store.call("junk", "HSET", f"{prefix}{{keys}}:records", "junk", b"\x03junk that nobody sealed, as it is")
        revoked = replace(RECORD, revoked=2.0)

        async def revoke() -> None:
            await old.put_key(revoked)

        interrupted: Any = Interrupted(store, revoke)
        assert await RedisSealedRecords(interrupted, BOTH, clock, prefix=prefix).reseal() == 0
        assert await new.find("k1") == (revoked, ())
        records = RedisSealedRecords(store, BOTH, clock, prefix=prefix)
        assert await records.records() == [SealedRecord("key", "k1", False)]
        epoch = await new.epoch()
        assert await records.reseal() == 1
        assert await records.records() == [SealedRecord("key", "k1", True)]
        assert (await new.find("k1"), await new.epoch()) == ((revoked, ()), epoch)
        assert await records.reseal() == 0
        await store.close()

    asyncio.run(story())
