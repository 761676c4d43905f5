"""The cache store when it fails: callers lose no time to it, and it is asked again soon."""

import asyncio
import time

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_breaker import FIRST_OPEN_S, MAX_OPEN_S, SILENCE_S, StoreBreaker
from gateway.adapters.redis_cache import BYTES_PER_DEADLINE, RedisCache, _bucket
from gateway.adapters.redis_connect import connect
from gateway.ports import StoreUnavailable
from tests.contracts.proxy import Proxy
from tests.contracts.servers import Stores, eventually
from tests.fakes.world import FakeClock


async def asks_again(cache: RedisCache, clock: FakeClock) -> bool:
    """Whether the store answers, the longest pause later."""
    clock.advance(MAX_OPEN_S)
    try:
        return await cache.get("nothing") is None
    except StoreUnavailable:
        return False


def test_a_failure_opens_the_circuit_for_a_while_then_one_call_tries() -> None:
    clock = FakeClock([])
    circuit = StoreBreaker(clock.monotonic)
    assert circuit.admits()
    circuit.failed()
    assert not circuit.admits()
    clock.advance(FIRST_OPEN_S)
    assert [circuit.admits(), circuit.admits()] == [True, False]
    circuit.succeeded()
    assert [circuit.admits(), circuit.admits()] == [True, True]


def test_a_trial_that_fails_doubles_the_pause_up_to_five_seconds() -> None:
    clock = FakeClock([])
    circuit = StoreBreaker(clock.monotonic)
    pauses = []
    circuit.failed()
    for _ in range(6):
        began = clock.monotonic()
        while not circuit.admits():
            clock.advance(0.125)
        pauses.append(clock.monotonic() - began)
        circuit.failed()
    assert pauses == [FIRST_OPEN_S, 1.0, 2.0, 4.0, MAX_OPEN_S, MAX_OPEN_S]


def test_many_calls_lost_together_are_one_failure() -> None:
    clock = FakeClock([])
    circuit = StoreBreaker(clock.monotonic)
    for _ in range(50):
        circuit.failed()
    clock.advance(FIRST_OPEN_S)
    assert circuit.admits()


def test_failures_beside_successes_are_a_busy_store_and_not_a_lost_one() -> None:
    clock = FakeClock([])
    circuit = StoreBreaker(clock.monotonic)
    for _ in range(20):
        circuit.succeeded()
        clock.advance(SILENCE_S / 2)
        circuit.failed()
        assert circuit.admits()
    clock.advance(SILENCE_S / 2)
    circuit.failed()
    assert not circuit.admits()


def test_a_trial_whose_caller_went_away_is_left_to_the_next() -> None:
    clock = FakeClock([])
    circuit = StoreBreaker(clock.monotonic)
    circuit.failed()
    clock.advance(FIRST_OPEN_S)
    assert circuit.admits()
    circuit.abandoned()
    assert circuit.admits()


def test_a_silent_cache_costs_fifty_milliseconds_once_and_then_nothing(stores: Stores) -> None:
    async def story() -> None:
        async with Proxy(stores.cache.socket).listening() as proxy:
            proxy.losing = "swallow"
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.05, name="silent")
            clock = FakeClock([])
            cache = RedisCache(store, clock, b"k" * 32, prefix="silent:")
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="get"):
                await cache.get("here")
            first = time.monotonic() - began
            began = time.monotonic()
            for _ in range(100):
                with pytest.raises(StoreUnavailable, match="claim"):
                    await cache.claim("here", "ours", 60)
            # A hundred calls, where each that asked would have cost 50 ms.
            assert (first < 0.3, time.monotonic() - began < 1.0) == (True, True)
            assert proxy.work() == []
            proxy.losing = None
            await eventually(lambda: asks_again(cache, clock), "the cache's return")
            await store.close()

    asyncio.run(story())


def test_a_caller_who_hangs_up_on_a_trial_does_not_keep_the_circuit_open(stores: Stores) -> None:
    async def story() -> None:
        async with Proxy(stores.cache.socket).listening() as proxy:
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.1, name="hasty")
            clock = FakeClock([])
            cache = RedisCache(store, clock, b"k" * 32, prefix="hasty:")
            proxy.losing = "swallow"
            with pytest.raises(StoreUnavailable):
                await cache.get("here")
            clock.advance(FIRST_OPEN_S)
            trial = asyncio.create_task(cache.get("here"))
            await asyncio.sleep(0)
            trial.cancel()
            await asyncio.gather(trial, return_exceptions=True)
            proxy.losing = None
            await eventually(lambda: asks_again(cache, clock), "the cache's return")
            await store.close()

    asyncio.run(story())


def test_a_large_answer_gets_a_longer_deadline(stores: Stores) -> None:
    async def story() -> None:
        async with Proxy(stores.cache.socket).listening() as proxy:
            proxy.losing = "swallow"
            store = connect(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.02, name="large")
            took = []
            for size in (1, 4 * BYTES_PER_DEADLINE):
                cache = RedisCache(store, SystemClock(), b"k" * 32, prefix="large:")
                began = time.monotonic()
                with pytest.raises(StoreUnavailable, match="put"):
                    await cache.put("here", bytes(size), 60, first_write_wins=True)
                took.append(time.monotonic() - began)
            assert took[0] < 0.6
            assert took[1] >= 0.75
            await store.close()

    asyncio.run(story())


def test_the_keys_of_an_entry_and_its_lease_live_together_and_end(stores: Stores) -> None:
    async def story() -> None:
        store = connect(stores.cache.url, timeout_s=5.0, name="keys")
        cache = RedisCache(store, SystemClock(), b"k" * 32, prefix="keys:")
        await cache.claim("abc", "ours", 60)
        await cache.put("abc", b"x", 60, first_write_wins=False)
        for key in (f"keys:{kind}:{{{_bucket('abc'):x}}}:abc" for kind in ("entry", "lease")):
            assert 0 < await store.call("ttl", "PTTL", key) <= 60_000
        await store.close()

    asyncio.run(story())
