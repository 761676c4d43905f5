"""What every cache store promises to flights of several processes: one leads, and the others are told how it ended."""

import asyncio

import pytest

from gateway.ports import CacheStore, LeaseClaim
from tests.contracts.backends import Backend, play

LARGE = bytes(65_537)


async def told(message: "asyncio.Future[bytes]") -> bytes:
    async with asyncio.timeout(10.0):
        return await message


def test_a_claim_that_is_not_granted_says_how_long_the_lease_has_left(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "ours", 60)
        claim = await cache.claim("here", "theirs", 60)
        assert (claim.acquired, claim.entry) == (False, None)
        assert 50 < claim.expires_in_s <= 60

    play(backend.cache(), story)


@pytest.mark.parametrize("first_write_wins", [True, False])
def test_landing_stores_ends_the_lease_and_tells_the_answer(backend: Backend, first_write_wins: bool) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "ours", 60)
        news, other = await cache.subscribe("here"), await cache.subscribe("there")
        assert await cache.put("here", b"answer", 60, first_write_wins, "ours") is None
        assert await told(news) == b"answer"
        assert await cache.get("here") == b"answer"
        await cache.delete("here")
        assert not await cache.renew("here", "ours", 60)
        assert not other.done()

    play(backend.cache(), story)


def test_an_answer_too_large_for_a_message_is_announced_without_its_bytes(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "ours", 60)
        for blob, message in ((LARGE, b""), (LARGE[1:], LARGE[1:])):
            news = await cache.subscribe("here")
            await cache.put("here", blob, 60, first_write_wins=False, owner="ours")
            assert await told(news) == message
            assert await cache.get("here") == blob
            await cache.delete("here")
            await cache.claim("here", "ours", 60)

    play(backend.cache(), story)


def test_a_release_is_told_and_only_by_the_owner_of_the_lease(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "ours", 60)
        news = await cache.subscribe("here")
        await cache.release("here", "theirs")
        await cache.claim("there", "marker", 60)
        marker = await cache.subscribe("there")
        await cache.release("there", "marker")
        assert await told(marker) == b""
        assert not news.done()
        await cache.release("here", "ours")
        assert await told(news) == b""

    play(backend.cache(), story)


def test_a_release_tells_what_its_owner_has_to_say_and_another_s_word_is_not_told(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "ours", 60)
        news = await cache.subscribe("here")
        await cache.release("here", "theirs", b"Fnot theirs to say")
        await cache.release("here", "ours", b"Fwhat\x00came")
        assert await told(news) == b"Fwhat\x00came"
        assert await cache.get("here") is None
        assert (await cache.claim("here", "next", 60)).acquired

    play(backend.cache(), story)


def test_an_owner_who_comes_too_late_does_not_replace_his_successor_s_answer(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "successor", 60)
        assert await cache.put("here", b"the successor's", 60, False, "successor") is None
        assert await cache.put("here", b"late", 60, False, "late") == b"the successor's"
        assert await cache.get("here") == b"the successor's"

    play(backend.cache(), story)


def test_a_late_answer_serves_while_there_is_no_other_and_leaves_the_successor_s_lease(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "successor", 60)
        news = await cache.subscribe("here")
        assert await cache.put("here", b"late", 60, False, "late") is None
        assert await told(news) == b"late"
        assert await cache.renew("here", "successor", 60)
        assert await cache.put("here", b"the successor's", 60, False, "successor") is None
        assert await cache.get("here") == b"the successor's"

    play(backend.cache(), story)


def test_where_an_entry_was_kept_its_owner_may_still_replace_it_before_another_leads(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.put("here", b"stale", 60, first_write_wins=False)
        assert (await cache.claim("here", "ours", 60, b"stale")).acquired
        news = await cache.subscribe("here")
        assert await cache.put("here", b"second", 60, True, "ours") == b"stale"
        assert await told(news) == b""
        assert not (await cache.claim("here", "theirs", 60, b"stale")).acquired
        news = await cache.subscribe("here")
        assert await cache.put("here", b"second", 60, False, "ours") is None
        assert await told(news) == b"second"
        assert not await cache.renew("here", "ours", 60)

    play(backend.cache(), story)


def test_an_entry_that_will_not_do_is_claimed_over_and_another_one_is_not(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.put("here", b"stale", 60, first_write_wins=False)
        assert (await cache.claim("here", "ours", 60)).entry == b"stale"
        assert (await cache.claim("here", "ours", 60, b"stale")).acquired
        claim = await cache.claim("here", "theirs", 60, b"stale")
        assert (claim.acquired, claim.entry, claim.expires_in_s > 50) == (False, None, True)
        await cache.put("here", b"fresh", 60, False, "ours")
        assert await cache.claim("here", "theirs", 60, b"stale") == LeaseClaim(acquired=False, entry=b"fresh")

    play(backend.cache(), story)


def test_everybody_who_listens_is_told_and_who_has_stopped_is_not(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        for _ in range(3):  # listened to anew as soon as the last one has stopped
            await cache.claim("here", "ours", 60)
            first, second, gone = [await cache.subscribe("here") for _ in range(3)]
            cache.unsubscribe("here", gone)
            await cache.release("here", "ours")
            assert [await told(first), await told(second), gone.done()] == [b"", b"", False]
            cache.unsubscribe("here", first)
            cache.unsubscribe("here", second)

    play(backend.cache(), story)


def test_many_addresses_are_listened_to_at_once(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        addresses = [f"at{i}" for i in range(60)]
        await asyncio.gather(*(cache.claim(cache_key, "ours", 60) for cache_key in addresses))
        news = await asyncio.gather(*(cache.subscribe(cache_key) for cache_key in addresses))
        await asyncio.gather(*(cache.put(at, at.encode(), 60, False, "ours") for at in addresses))
        assert [await told(each) for each in news] == [at.encode() for at in addresses]

    play(backend.cache(), story)
