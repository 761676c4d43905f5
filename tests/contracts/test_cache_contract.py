"""What every cache store promises: bytes by address until they expire, leases with one owner."""

import asyncio

from gateway.ports import CacheStore
from tests.contracts.backends import Backend, play
from tests.contracts.servers import eventually


def test_what_was_put_is_got_back_byte_for_byte(backend: Backend) -> None:
    blob = bytes(range(256)) * 4096

    async def story(cache: CacheStore) -> None:
        assert await cache.get("here") is None
        assert await cache.put("here", blob, 60, first_write_wins=False) is None
        assert await cache.get("here") == blob
        assert await cache.get("there") is None

    play(backend.cache(), story)


def test_the_first_of_two_answers_is_kept_and_told_to_the_second(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        assert await cache.put("here", b"first", 60, first_write_wins=True) is None
        assert await cache.put("here", b"second", 60, first_write_wins=True) == b"first"
        assert await cache.get("here") == b"first"
        assert await cache.put("here", b"third", 60, first_write_wins=False) is None
        assert await cache.get("here") == b"third"

    play(backend.cache(), story)


def test_of_many_first_answers_all_callers_get_the_same(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        blobs = [b"%d" % i for i in range(20)]
        standing = await asyncio.gather(*(cache.put("here", blob, 60, first_write_wins=True) for blob in blobs))
        got = {kept if kept is not None else blob for kept, blob in zip(standing, blobs, strict=True)}
        assert len(got) == 1
        assert standing.count(None) == 1

    play(backend.cache(), story)


def test_an_entry_goes_when_its_time_is_over(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.put("brief", b"x", 0.05, first_write_wins=False)
        await cache.put("long", b"x", 60, first_write_wins=False)

        async def gone() -> bool:
            return await cache.get("brief") is None

        await eventually(gone, "the end of the entry")
        assert await cache.get("long") == b"x"
        assert await cache.put("brief", b"y", 60, first_write_wins=True) is None

    play(backend.cache(), story)


def test_a_deleted_entry_is_gone(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.put("here", b"x", 60, first_write_wins=False)
        await cache.delete("here")
        await cache.delete("nowhere")
        assert await cache.get("here") is None

    play(backend.cache(), story)


def test_deleting_an_entry_frees_the_lease_of_the_flight_that_made_it(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        assert (await cache.claim("here", "one", 60)).acquired
        await cache.put("here", b"x", 60, first_write_wins=False)
        await cache.delete("here")
        assert (await cache.claim("here", "two", 60)).acquired

    play(backend.cache(), story)


def test_one_owner_at_a_time_holds_a_lease(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        claims = await asyncio.gather(*(cache.claim("here", f"owner{i}", 60) for i in range(20)))
        winners = [i for i, claim in enumerate(claims) if claim.acquired]
        assert len(winners) == 1
        assert (await cache.claim("here", f"owner{winners[0]}", 60)).acquired
        assert (await cache.claim("there", "another", 60)).acquired

    play(backend.cache(), story)


def test_a_lease_is_renewed_and_released_by_its_owner_alone(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "ours", 60)
        assert await cache.renew("here", "ours", 60)
        assert not await cache.renew("here", "theirs", 60)
        await cache.release("here", "theirs")
        assert not (await cache.claim("here", "theirs", 60)).acquired
        await cache.release("here", "ours")
        assert not await cache.renew("here", "ours", 60)
        assert (await cache.claim("here", "theirs", 60)).acquired

    play(backend.cache(), story)


def test_the_lease_of_a_dead_owner_ends_by_itself(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "dead", 0.05)

        async def acquired() -> bool:
            return (await cache.claim("here", "alive", 60)).acquired

        await eventually(acquired, "the end of the lease")
        assert not await cache.renew("here", "dead", 60)

    play(backend.cache(), story)


def test_a_renewed_lease_lasts_longer(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "ours", 0.05)
        await cache.renew("here", "ours", 60)
        await cache.claim("marker", "dead", 0.06)

        async def passed() -> bool:
            return (await cache.claim("marker", "alive", 60)).acquired

        await eventually(passed, "the time of the first lease")
        assert not (await cache.claim("here", "theirs", 60)).acquired

    play(backend.cache(), story)


def test_whoever_claims_after_the_answer_came_gets_the_answer(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.claim("here", "ours", 60)
        await cache.put("here", b"answer", 60, first_write_wins=True)
        await cache.release("here", "ours")
        claim = await cache.claim("here", "theirs", 60)
        assert (claim.acquired, claim.entry) == (False, b"answer")

    play(backend.cache(), story)


def test_statistics_count_the_entries(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.changes(None)  # the streams of changes are entries, too
        before = await cache.stats()
        await cache.put("here", b"x" * 100, 60, first_write_wins=False)
        after = await cache.stats()
        assert set(after) == {"entries", "bytes", "evicted", "expired", "hits", "misses"}
        assert after["entries"] == before["entries"] + 1
        assert after["bytes"] > 0

    play(backend.cache(), story)
