"""Records in a store that somebody else can write to: what was not sealed here, in this place, does not exist."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.adapters.clock import SystemClock
from gateway.adapters.directory_codec import decode_approvals, decode_key, encode_approvals, encode_key
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_directory import RedisDirectory
from gateway.core.audit import ChainHead, StoredHead
from gateway.core.sealing import seal
from gateway.core.types import Approval, KeyRecord, Limits
from tests.contracts.servers import Stores
from tests.fakes.world import FakeMeter

SEALING = b"s" * 32
KEY = KeyRecord("k1", "d" * 64, "ada", "lab", 1.0, limits=Limits(60, 10, 4, 1000))
GRANT = Approval("g1", "ada", ("carol", "dan"), "toxin study", 1.0, 9.0)
FORGED = ("esmgw_store_errors_total", "state", "forged")
UNREADABLE = ("esmgw_store_errors_total", "state", "unreadable")


def on_a_store(
    stores: Stores, prefix: str, story: Callable[[RedisStore, RedisDirectory, FakeMeter], Awaitable[None]]
) -> None:
    async def whole() -> None:
        store, meter = connect(stores.state.url, timeout_s=5.0, name="directory"), FakeMeter()
        try:
            await story(store, RedisDirectory(store, SEALING, SystemClock(), meter, prefix=prefix), meter)
        finally:
            await store.close()

    asyncio.run(whole())


def test_no_byte_of_a_record_can_be_changed(stores: Stores) -> None:
    async def story(store: RedisStore, directory: RedisDirectory, meter: FakeMeter) -> None:
        await directory.put_key(KEY)
        genuine: bytes = await store.call("get", "HGET", "bytes:{keys}:records", "k1")
        for position in range(len(genuine)):
            forged = genuine[:position] + bytes([genuine[position] ^ 1]) + genuine[position + 1 :]
            await store.call("forge", "HSET", "bytes:{keys}:records", "k1", forged)
            assert await directory.find("k1") is None
        assert meter.counts[FORGED] == len(genuine)
        assert list(await directory.keys()) == []
        await store.call("restore", "HSET", "bytes:{keys}:records", "k1", genuine)
        assert await directory.find("k1") == (KEY, ())

    on_a_store(stores, "bytes:", story)


def test_a_record_does_not_work_in_another_ones_place(stores: Stores) -> None:
    async def story(store: RedisStore, directory: RedisDirectory, meter: FakeMeter) -> None:
        await directory.put_key(KEY)
        await directory.put_key(replace(KEY, public_id="k2", user="bob"))
        await directory.put_approval(GRANT)
        key: bytes = await store.call("get", "HGET", "swap:{keys}:records", "k1")
        approvals: bytes = await store.call("get", "HGET", "swap:{keys}:approvals", "ada")
        await store.call("swap", "HSET", "swap:{keys}:records", "k2", key)
        await store.call("swap", "HSET", "swap:{keys}:approvals", "bob", approvals)
        assert await directory.find("k2") is None
        assert tuple(await directory.approvals("bob")) == ()
        await store.call("swap", "HSET", "swap:{keys}:approvals", "ada", key)
        assert await directory.find("k1") == (KEY, ())
        assert meter.counts[FORGED] == 3

    on_a_store(stores, "swap:", story)


def test_nothing_of_a_record_can_be_read_in_the_store(stores: Stores) -> None:
    async def story(store: RedisStore, directory: RedisDirectory, meter: FakeMeter) -> None:
        await directory.put_key(KEY)
        blob: bytes = await store.call("get", "HGET", "dark:{keys}:records", "k1")
        assert b"ada" not in blob
        assert KEY.digest.encode() not in blob
        await directory.put_key(KEY)
        assert await store.call("get", "HGET", "dark:{keys}:records", "k1") != blob

    on_a_store(stores, "dark:", story)


def test_a_record_of_another_format_is_no_record(stores: Stores) -> None:
    assert decode_key(encode_key(KEY)) == KEY
    assert decode_approvals(encode_approvals([GRANT])) == (GRANT,)
    for broken in (
        encode_key(KEY).replace(b'"format":1', b'"format":2'),
        encode_key(KEY).replace(b'"revoked":null,', b""),
        encode_key(KEY).replace(b'"limits":{"', b'"limits":{"unheard_of":1,"'),
        b"[]",
        b"",
    ):
        assert decode_key(broken) is None or b"revoked" not in broken
        assert decode_approvals(broken) is None

    async def story(store: RedisStore, directory: RedisDirectory, meter: FakeMeter) -> None:
        newer = directory._seal("key:k9", encode_key(KEY).replace(b'"format":1', b'"format":2'))
        await store.call("put", "HSET", "form:{keys}:records", "k9", newer)
        assert await directory.find("k9") is None
        assert (meter.counts[UNREADABLE], meter.counts[FORGED]) == (1, 0)

    on_a_store(stores, "form:", story)


def test_the_kept_head_of_a_chain_only_moves_forward_and_cannot_be_forged_or_taken_for_another(stores: Stores) -> None:
    async def story(store: RedisStore, _: RedisDirectory, meter: FakeMeter) -> None:
        heads = RedisAuditHead(store, SEALING, SystemClock(), meter, prefix="head:")
        nine, ten = (StoredHead(ChainHead(seq, mac * 64), "/a", 5.5) for seq, mac in ((9, "a"), (10, "c")))
        assert await heads.get("main") is None
        assert await heads.put("main", nine)
        assert not await heads.put("main", StoredHead(ChainHead(8, "b" * 64), "/a", 6.0))
        assert await heads.put("main", ten)
        assert await heads.get("main") == ten
        assert (await heads.at_place("/a"), await heads.at_place("/b")) == ({"main": ten}, {})
        row: bytes = await store.call("get", "HGET", "head:{audit}:heads", "main")
        for forged in (b"11" + row[2:], row[:-1] + bytes([row[-1] ^ 1]), b"10:"):
            await store.call("forge", "HSET", "head:{audit}:heads", "main", forged)
            assert await heads.get("main") is None
            assert await heads.at_place("/a") == {}
        await store.call("swap", "HSET", "head:{audit}:heads", "other", row)
        assert await heads.get("other") is None
        assert meter.counts[FORGED] == 4

    on_a_store(stores, "head:", story)


def test_a_head_from_before_chains_had_an_identity_is_found_by_its_file_on_whatever_machine(stores: Stores) -> None:
    async def story(store: RedisStore, _: RedisDirectory, meter: FakeMeter) -> None:
        heads = RedisAuditHead(store, SEALING, SystemClock(), meter, prefix="oldhead:")
        for name in ("host:/a/audit.jsonl", "other:/a/audit.jsonl", "host:/b/audit.jsonl"):
            blob = seal(SEALING, f"audit-head:{name}", b'[4,"m"]', b"n" * 12)
            await store.call("put", "HSET", "oldhead:{audit}:heads", name, b"4:" + blob)
        found = await heads.old_heads("/a/audit.jsonl")
        assert found == dict.fromkeys(("host:/a/audit.jsonl", "other:/a/audit.jsonl"), ChainHead(4, "m"))

    on_a_store(stores, "oldhead:", story)
