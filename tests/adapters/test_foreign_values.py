"""What somebody else wrote into a store: unusable until it is put right, never an error of another kind."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_cache import RedisCache, _bucket
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_ledger import RedisLedger
from gateway.adapters.redis_namespaces import RedisNamespaces
from gateway.adapters.redis_purges import ADDRESS, RedisPurges
from gateway.core.purge_state import Purge
from gateway.core.quota import DAY_S, Limit, Reservation
from gateway.core.sealing import seal
from gateway.core.types import Namespace
from gateway.flow.authenticate import Authenticator
from gateway.flow.invalidation_poller import INTERVAL_S, InvalidationPoller
from gateway.flow.local_cache import LocalCache
from gateway.flow.runtime import BackgroundLoops, Runtime
from gateway.ports import StoreUnavailable
from tests.contracts.servers import Stores, eventually
from tests.fakes.world import FakeMeter
from tests.flow.harness import background_tasks

SEALING = b"k" * 32
NO_NUMBERS = (b"nonsense", b"\xff\xfe\x00", b"", b"12 34", b"0x")
NO_FINITE_NUMBERS = (*NO_NUMBERS, b"nan", b"inf", b"1e999")
RATE = Limit("user-requests", "rate", "u:ada", 60, 60, 60)
UNITS = Limit("user-units", "units", "u:ada", 100, DAY_S, 100)


@dataclass(frozen=True)
class Lab:
    """The adapters on the stores of the tests, and the stores themselves to write into."""

    state: RedisStore
    cache: RedisStore
    meter: FakeMeter
    p: str

    @property
    def purges(self) -> RedisPurges:
        return RedisPurges(self.cache, self.state, SEALING, SystemClock(), self.meter, prefix=self.p)

    @property
    def directory(self) -> RedisDirectory:
        return RedisDirectory(self.state, SEALING, SystemClock(), self.meter, prefix=self.p)

    @property
    def namespaces(self) -> RedisNamespaces:
        return RedisNamespaces(self.state, SEALING, SystemClock(), self.meter, 2**20, prefix=self.p)

    @property
    def ledger(self) -> RedisLedger:
        return RedisLedger(self.state, prefix=self.p)

    async def clear(self) -> None:
        for store in (self.state, self.cache):
            for key in await store.call("keys", "KEYS", f"{self.p}*"):
                await store.call("del", "DEL", key)


def in_a_lab(stores: Stores, prefix: str, story: Callable[[Lab], Awaitable[None]]) -> None:
    async def whole() -> None:
        state = connect(stores.state.url, timeout_s=5.0, name="state")
        cache = connect(stores.cache.url, timeout_s=5.0, name="cache")
        lab = Lab(state, cache, FakeMeter(), f"foreign-{prefix}:")
        try:
            await story(lab)
        finally:
            await lab.clear()
            await state.close()
            await cache.close()

    asyncio.run(whole())


Words = Sequence[Any]


def as_state(content: bytes) -> tuple[str, bytes]:
    """A state of purges that is sealed and says something else."""
    return "SET", seal(SEALING, ADDRESS, content, b"n" * 12)


@pytest.mark.parametrize(
    "words",
    [
        ("SET", b"nonsense"),
        ("SET", b"\xff\xfe\x00"),
        ("SET", b"?"),
        ("HSET", b"epoch", b"1"),
        ("SADD", b"x"),
        as_state(b"[]"),
        as_state(b"{"),
        as_state(b"7"),
        as_state(b'{"epoch":1,"serial":"1"}'),
        as_state(b'{"epoch":1,"serial":1,"models":{"m":1.5}}'),
        as_state(b'{"epoch":1,"serial":1,"stale":{"":"x"}}'),
        as_state(b'{"epoch":1,"serial":1,"keys":[]}'),
        as_state(b'{"epoch":1,"serial":1,"more":1}'),
    ],
)
def test_a_purge_state_that_is_none_of_ours_purges_everything_and_is_counted(
    stores: Stores, words: tuple[Any, ...]
) -> None:
    async def story(lab: Lab) -> None:
        purges = lab.purges
        before = await purges.purge(Purge("esm3"))
        await lab.cache.call("clear", "DEL", f"{lab.p}purges")
        await lab.cache.call("junk", words[0], f"{lab.p}purges", *words[1:])
        state = await purges.purge_state(before.serial)
        assert state.epoch > before.epoch
        assert await purges.purge_state(before.serial) == state
        assert lab.meter.counts[("esmgw_store_errors_total", "cache", "purges_forged")] == 1

    in_a_lab(stores, "purges", story)


@pytest.mark.parametrize("junk", NO_NUMBERS[:2] + NO_FINITE_NUMBERS[-3:])
def test_a_high_water_mark_that_is_no_number_is_not_taken_for_a_low_one(stores: Stores, junk: bytes) -> None:
    async def story(lab: Lab) -> None:
        await lab.purges.purge(Purge())
        await lab.state.call("junk", "SET", f"{lab.p}purges:high_water", junk)
        with pytest.raises(StoreUnavailable):
            await lab.purges.high_water()
        with pytest.raises(StoreUnavailable):
            await lab.purges.purge(Purge())
        await lab.state.call("repair", "DEL", f"{lab.p}purges:high_water")
        state = await lab.purges.purge(Purge())
        assert await lab.purges.high_water() == state.serial

    in_a_lab(stores, "mark", story)


@pytest.mark.parametrize("junk", [*NO_NUMBERS[:2], b"12 34", b"1.5", b"9" * 5000])
def test_an_odd_epoch_of_the_keys(stores: Stores, junk: bytes) -> None:
    async def story(lab: Lab) -> None:
        await lab.state.call("junk", "SET", f"{lab.p}{{keys}}:epoch", junk)
        with pytest.raises(StoreUnavailable):
            await lab.directory.epoch()
        await lab.state.call("repair", "SET", f"{lab.p}{{keys}}:epoch", "7")
        assert await lab.directory.epoch() == 7

    in_a_lab(stores, "epoch", story)


@pytest.mark.parametrize("junk", NO_NUMBERS)
@pytest.mark.parametrize("field", ["bytes", "frozen"])
def test_a_namespace_whose_own_fields_are_odd(stores: Stores, field: str, junk: bytes) -> None:
    async def story(lab: Lab) -> None:
        archive = lab.namespaces
        await archive.create(Namespace("paper", 1.0, None, ""))
        key = f"{lab.p}namespace:{{paper}}"
        await lab.state.call("junk", "HSET", key, field, junk)
        if field == "frozen":
            with pytest.raises(StoreUnavailable):
                await archive.freeze("paper", 2.0)
        elif junk:
            with pytest.raises(StoreUnavailable):
                await archive.contents("paper")
            with pytest.raises(StoreUnavailable):
                await archive.put("paper", "key", b"entry")
        await lab.state.call("repair", "HDEL", key, field)
        assert await archive.put("paper", "key", b"entry") is None
        assert await archive.page("paper") == [(1, "key")]

    in_a_lab(stores, "fields", story)


def test_a_namespace_whose_order_names_what_is_no_key(stores: Stores) -> None:
    async def story(lab: Lab) -> None:
        await lab.namespaces.create(Namespace("paper", 1.0, None, ""))
        await lab.state.call("junk", "ZADD", f"{lab.p}namespace:{{paper}}:order", "inf", b"key")
        with pytest.raises(StoreUnavailable):
            await lab.namespaces.page("paper")
        await lab.state.call("junk", "ZADD", f"{lab.p}namespace:{{paper}}:order", 1, b"\xff")
        with pytest.raises(StoreUnavailable):
            await lab.namespaces.page("paper")

    in_a_lab(stores, "order", story)


@pytest.mark.parametrize(
    "content", [b"[]", b'{"frozen":null}', b'{"created":1,"frozen":null,"note":"","more":1}', b"{"]
)
def test_a_description_of_another_version_is_absent_and_counted(stores: Stores, content: bytes) -> None:
    async def story(lab: Lab) -> None:
        await lab.namespaces.create(Namespace("good", 1.0, None, ""))
        blob = seal(SEALING, "namespace:odd", content, b"n" * 12)
        await lab.state.call("junk", "HSET", f"{lab.p}namespaces", "odd", blob)
        assert list(await lab.namespaces.namespaces()) == ["good"]
        assert lab.meter.counts[("esmgw_store_errors_total", "state", "unreadable")] == 1

    in_a_lab(stores, "version", story)


@pytest.mark.parametrize("junk", [b"nonsense", b"\xff\xfe", b"12 34", b"inf", b"1e300"])
def test_a_rate_that_is_no_time(stores: Stores, junk: bytes) -> None:
    async def story(lab: Lab) -> None:
        key = f"{lab.p}{{u:ada}}:user-requests:u:ada"
        await lab.state.call("junk", "SET", key, junk)
        with pytest.raises(StoreUnavailable):
            await lab.ledger.charge_rate("ada", (RATE,), 0)
        if junk not in (b"inf", b"1e300"):
            with pytest.raises(StoreUnavailable):
                await lab.ledger.usage("ada", (RATE,))
        await lab.state.call("repair", "DEL", key)
        assert (await lab.ledger.charge_rate("ada", (RATE,), 0)).admitted

    in_a_lab(stores, "rate", story)


@pytest.mark.parametrize("words", [("LPUSH", "x"), ("HSET", "a", "b"), ("SADD", "x")])
def test_a_key_of_another_kind(stores: Stores, words: tuple[str, ...]) -> None:
    async def story(lab: Lab) -> None:
        command, *rest = words
        entry = f"{lab.p}entry:{{{_bucket('k'):x}}}:k"
        asked: list[tuple[RedisStore, str, Callable[[], Awaitable[object]]]] = [
            (lab.state, f"{lab.p}{{keys}}:epoch", lab.directory.epoch),
            (lab.state, f"{lab.p}{{u:ada}}:user-units:u:ada", lambda: lab.ledger.usage("ada", (UNITS,))),
            (
                lab.state,
                f"{lab.p}{{u:ada}}:user-units:u:ada",
                lambda: lab.ledger.reserve(Reservation("r", "ada", (UNITS,), 1), 5.0),
            ),
            (
                lab.cache,
                entry,
                lambda: RedisCache(lab.cache, SystemClock(), b"k" * 32, prefix=lab.p).claim("k", "me", 5.0),
            ),
        ]
        if command != "HSET":
            asked += [
                (lab.state, f"{lab.p}namespaces", lab.namespaces.namespaces),
                (lab.state, f"{lab.p}namespaces:changes", lab.namespaces.changes),
                (lab.state, f"{lab.p}purges:high_water", lab.purges.high_water),
            ]
        for store, key, ask in asked:
            await store.call("clear", "DEL", key)
            await store.call("junk", command, key, *rest)
            with pytest.raises(StoreUnavailable):
                await ask()

    in_a_lab(stores, "kind", story)


@pytest.mark.parametrize(
    "where, words",
    [
        ("cache", ("SET", "purges", "nonsense")),
        ("cache", ("SET", "purges", b"\xff\xfe")),
        ("cache", ("SADD", "purges", "x")),
        ("state", ("SET", "purges:high_water", "junk")),
        ("state", ("SADD", "namespaces:changes", "junk")),
        ("state", ("SET", "{keys}:epoch", "junk")),
        ("state", ("LPUSH", "{keys}:epoch", "junk")),
        ("state", ("SET", "namespaces", "junk")),
    ],
)
def test_no_odd_value_ends_the_polls_and_after_it_every_change_is_heard(
    stores: Stores, where: str, words: tuple[Any, ...]
) -> None:
    command, name, *rest = words

    async def story(lab: Lab) -> None:
        runtime = Runtime(SystemClock(), lab.meter, background_tasks())
        local = LocalCache(lab.meter, 2**20, 2**20)
        authenticator = Authenticator(lab.directory, runtime, b"p" * 32)
        cache = RedisCache(lab.cache, SystemClock(), SEALING, prefix=lab.p)
        poller = InvalidationPoller(lab.directory, cache, lab.purges, lab.namespaces, authenticator, local, runtime)
        said: list[str] = []
        loops = BackgroundLoops(runtime, said.append)
        loops.keep("poller", poller.forever)
        store = lab.cache if where == "cache" else lab.state

        async def known() -> bool:
            return poller.purge_state() is not None

        async def counted() -> bool:
            return any(key[:2] == ("esmgw_store_errors_total", where) for key in lab.meter.counts)

        await eventually(known, "the first poll")
        await store.call("clear", "DEL", lab.p + name)
        await store.call("junk", command, lab.p + name, *rest)
        await eventually(counted, "an odd value")
        assert poller.polled_s_ago() <= 2 * INTERVAL_S
        await store.call("repair", "DEL", lab.p + name)
        generation = authenticator._generation
        await lab.state.call("change", "SET", f"{lab.p}{{keys}}:epoch", "77")

        async def heard() -> bool:
            return authenticator._generation > generation and poller.purge_state() is not None

        await eventually(heard, "the change")
        await loops.stop()
        assert said == []

    in_a_lab(stores, "polls", story)
