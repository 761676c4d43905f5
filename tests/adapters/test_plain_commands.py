"""Adapters whose commands are plain, on fakeredis: which command on which key is sent, and how the reply is read.

What needs a script or a real server's behaviour is in tests/contracts and in the tests of each adapter.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fakeredis import FakeAsyncRedis

from gateway.adapters.clock import SystemClock
from gateway.adapters.directory_codec import encode_approvals, encode_key
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_cache import RedisCache, _bucket
from gateway.adapters.redis_connect import RedisStore
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_namespaces import RedisNamespaces
from gateway.adapters.redis_throttle import RedisThrottle
from gateway.core.audit import ChainHead, StoredHead
from gateway.core.sealing import seal
from gateway.core.types import Approval, KeyRecord, Namespace
from tests.fakes.world import FakeMeter

SEALING_KEY = b"s" * 32
NONCE = b"n" * 12
FORGED = ("esmgw_store_errors_total", "state", "forged")


class Recorded:
    """A store on fakeredis, and the commands that were sent to it."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        fake: Any = FakeAsyncRedis
        self.client = fake()
        self.store = RedisStore(self.client, 5.0, 8)
        self.meter = FakeMeter()
        execute = self.client.execute_command

        async def recording(*words: Any, **options: Any) -> Any:
            self.sent.append(words)
            return await execute(*words, **options)

        self.client.execute_command = recording

    async def given(self, *words: Any) -> None:
        """A command of the test's own, not recorded."""
        await self.client.execute_command(*words)
        self.sent.clear()


def play(story: Callable[[Recorded], Awaitable[None]]) -> None:
    async def whole() -> None:
        recorded = Recorded()
        await story(recorded)
        await recorded.store.close()

    asyncio.run(whole())


def sealed(context: str, content: bytes) -> bytes:
    return seal(SEALING_KEY, context, content, NONCE)


def test_a_throttle_sets_one_key_that_expires_and_only_the_first_caller_gets_it() -> None:
    async def story(at: Recorded) -> None:
        throttle = RedisThrottle(at.store)
        assert [await throttle.first("pinned", "k1", 1.5), await throttle.first("pinned", "k1", 1.5)] == [True, False]
        assert at.sent == [("SET", "esmgw:throttle:pinned:k1", 1, "NX", "PX", 1500)] * 2
        assert 0 < await at.client.pttl("esmgw:throttle:pinned:k1") <= 1500

    play(story)


def test_an_entry_is_read_with_one_command() -> None:
    async def story(at: Recorded) -> None:
        cache = RedisCache(at.store, SystemClock(), SEALING_KEY)
        key = f"esmgw:entry:{{{_bucket('k'):x}}}:k"
        assert await cache.get("k") is None
        assert at.sent == [("GET", key)]
        await at.given("SET", key, b"one")
        assert await cache.get("k") == b"one"

    play(story)


def test_a_directory_reads_keys_approvals_and_its_epoch_and_nothing_that_was_moved() -> None:
    async def story(at: Recorded) -> None:
        directory = RedisDirectory(at.store, SEALING_KEY, SystemClock(), at.meter)
        assert (await directory.epoch(), await directory.find("k1")) == (0, None)
        key, approval = KeyRecord("k1", "d", "ada", "lab", 1.0), Approval("a1", "ada", ("bo", "cy"), "why", 1.0, 2.0)
        blob = sealed("key:k1", encode_key(key))
        await at.given("HSET", "esmgw:{keys}:records", "k1", blob, "k2", blob)
        await at.given("HSET", "esmgw:{keys}:approvals", "ada", sealed("approvals:ada", encode_approvals([approval])))
        await at.given("SET", "esmgw:{keys}:epoch", "7")
        assert (await directory.epoch(), await directory.find("k1")) == (7, (key, (approval,)))
        assert (await directory.find("k2"), at.meter.counts[FORGED]) == (None, 1)
        assert at.sent == [
            ("GET", "esmgw:{keys}:epoch"),
            ("HGET", "esmgw:{keys}:records", "k1"),
            ("HGET", "esmgw:{keys}:approvals", "ada"),
            ("HGET", "esmgw:{keys}:records", "k2"),
        ]
        assert list(await directory.keys()) == [key]

    play(story)


def test_namespaces_and_their_entries_are_read_from_their_hashes_and_forged_descriptions_are_not() -> None:
    async def story(at: Recorded) -> None:
        namespaces = RedisNamespaces(at.store, SEALING_KEY, SystemClock(), at.meter, 1000)
        described = sealed("namespace:paper", orjson.dumps({"created": 1.0, "frozen": None, "note": "Figure 3"}))
        await at.given("HSET", "esmgw:namespaces", "paper", described, "other", described)
        await at.given("HSET", "esmgw:namespace:{paper}", "open", 1, "bytes", 5, "last_number", 2, "key", b"entry")
        await at.given("ZADD", "esmgw:namespace:{paper}:order", 1, "gone", 2, "key")
        assert await namespaces.namespaces() == {"paper": Namespace("paper", 1.0, None, "Figure 3")}
        assert at.meter.counts[FORGED] == 1
        assert [await namespaces.get("paper", key) for key in ("key", "none")] == [b"entry", None]
        assert await namespaces.page("paper", after=1) == [(2, "key")]
        assert at.sent[0] == ("HGETALL", "esmgw:namespaces")

    play(story)


def test_the_head_of_an_audit_chain_is_read_only_where_number_and_seal_agree() -> None:
    async def story(at: Recorded) -> None:
        heads = RedisAuditHead(at.store, SEALING_KEY, SystemClock(), at.meter)
        blob = sealed("audit-head:main", orjson.dumps([12, "mac", "/a", 5.0]))
        await at.given("HSET", "esmgw:{audit}:heads", "main", b"12:" + blob, "other", b"12:" + blob)
        assert await heads.get("main") == StoredHead(ChainHead(12, "mac"), "/a", 5.0)
        assert (await heads.get("none"), await heads.get("other"), at.meter.counts[FORGED]) == (None, None, 1)
        await at.given("HSET", "esmgw:{audit}:heads", "main", b"13:" + blob)
        assert (await heads.get("main"), at.meter.counts[FORGED]) == (None, 2)
        assert at.sent == [("HGET", "esmgw:{audit}:heads", "main")]

    play(story)
