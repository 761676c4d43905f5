"""A lease that no gateway took, or that none renews any more, keeps nobody waiting."""

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_cache import CLOCK_SKEW_S, RedisCache, _bucket
from gateway.ports import CacheStore
from tests.contracts.backends import SECRET, Backend, play
from tests.fakes.world import FakeClock


async def planted(server: Backend, value: bytes, *options: str | int) -> None:
    async with server.store() as store:
        await store.call("test", "SET", lease_key(server), value, *options)


def lease_key(server: Backend, cache_key: str = "here") -> str:
    return f"{server.prefix}lease:{{{_bucket(cache_key):x}}}:{cache_key}"


async def lease(server: Backend, cache_key: str = "here") -> bytes:
    async with server.store() as store:
        value: bytes = await store.call("test", "GET", lease_key(server, cache_key))
        return value


@pytest.mark.parametrize("value", [b"evil", b"", b"ours ", b"theirs " + b"x" * 40, b"\xff\xfe " + b"\x01" * 40])
@pytest.mark.parametrize("options", [(), ("EX", 3600)])
def test_a_lease_that_somebody_wrote_is_taken_at_once(
    server: Backend, value: bytes, options: tuple[str | int, ...]
) -> None:
    async def story(cache: CacheStore) -> None:
        await planted(server, value, *options)
        assert (await cache.claim("here", "mine", 60)).acquired
        assert not (await cache.claim("here", "other", 60)).acquired

    play(server.cache(), story)


def test_the_lease_of_another_call_counts_for_none(server: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("there", "theirs", 60)
        await planted(server, await lease(server, "there"))
        assert (await cache.claim("here", "mine", 60)).acquired

    play(server.cache(), story)


def test_a_lease_whose_end_was_taken_away_holds_for_no_longer_than_its_time(server: Backend) -> None:
    async def story(_: CacheStore) -> None:
        async with server.store() as store:
            now, later = SystemClock(), FakeClock([], start=SystemClock().now() + 5.0 + CLOCK_SKEW_S + 1.0)
            cache = RedisCache(store, now, SECRET, prefix=server.prefix)
            await cache.claim("here", "theirs", 5.0)
            await planted(server, await lease(server))  # without an end
            claim = await cache.claim("here", "mine", 5.0)
            assert (claim.acquired, claim.expires_in_s <= 5.0) == (False, True)
            assert (await RedisCache(store, later, SECRET, prefix=server.prefix).claim("here", "mine", 5.0)).acquired

    play(server.cache(), story)


def test_a_lease_that_is_renewed_holds(server: Backend) -> None:
    async def story(_: CacheStore) -> None:
        async with server.store() as store:
            clock = FakeClock([], start=SystemClock().now())
            cache = RedisCache(store, clock, SECRET, prefix=server.prefix)
            await cache.claim("here", "theirs", 60.0)
            for _renewal in range(5):
                clock.advance(60.0 + CLOCK_SKEW_S - 1.0)
                assert await cache.renew("here", "theirs", 60.0)
                assert not (await cache.claim("here", "mine", 60.0)).acquired
            clock.advance(60.0 + CLOCK_SKEW_S + 1.0)
            assert (await cache.claim("here", "mine", 60.0)).acquired
            assert not await cache.renew("here", "theirs", 60.0)

    play(server.cache(), story)
