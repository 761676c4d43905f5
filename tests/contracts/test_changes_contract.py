"""What every cache store promises of changes: whoever asks now and then hears of each, or that some were missed."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.adapters.redis_cache import BUCKETS, CHANGES
from gateway.ports import CacheStore
from tests.contracts.backends import Backend, play

Act = Callable[[CacheStore], Awaitable[object]]


async def flown(cache: CacheStore) -> None:
    await cache.claim("here", "ours", 60)
    await cache.put("here", b"x", 60, False, "ours")


CHANGING: dict[str, Act] = {
    "stored": lambda cache: cache.put("here", b"x", 60, False),
    "replaced": lambda cache: cache.put("here", b"y", 60, False),
    "deleted": lambda cache: cache.delete("here"),
    "deleted again": lambda cache: cache.delete("here"),
    "stored by a flight": flown,
    "deleted once more": lambda cache: cache.delete("here"),
    "stored first": lambda cache: cache.put("here", b"x", 60, True),
}
LEAVING: dict[str, Act] = {
    "read": lambda cache: cache.get("here"),
    "not the first": lambda cache: cache.put("here", b"other", 60, True),
    "late": lambda cache: cache.put("here", b"late", 60, False, "nobody"),
    "claimed": lambda cache: cache.claim("there", "ours", 60),
    "renewed": lambda cache: cache.renew("there", "ours", 60),
    "released": lambda cache: cache.release("there", "ours"),
}


def test_whoever_asks_for_the_first_time_may_have_missed_everything(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        await cache.put("here", b"x", 60, False)
        place, changed = await cache.changes(None)
        assert changed is None
        assert await cache.changes(place) == (place, set())

    play(backend.cache(), story)


def test_every_change_is_heard_once_by_each_who_asks_and_nothing_else_is_one(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        mine, _ = await cache.changes(None)
        yours = mine
        for name, act in CHANGING.items():
            await act(cache)
            mine, changed = await cache.changes(mine)
            assert changed == {"here"}, name
        for name, act in LEAVING.items():
            await act(cache)
            mine, changed = await cache.changes(mine)
            assert changed == set(), name
        await cache.put("there", b"x", 60, False)
        yours, changed = await cache.changes(yours)
        assert changed == {"here", "there"}

    play(backend.cache(), story)


def test_many_changes_at_once_are_all_heard(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        place, _ = await cache.changes(None)
        keys = {f"{number:064x}" for number in range(400)}
        for key in keys:
            await cache.put(key, b"x", 60, False)
        assert (await cache.changes(place))[1] == keys

    play(backend.cache(), story)


def test_who_asks_too_late_is_told_and_hears_of_the_next(backend: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        place, _ = await cache.changes(None)
        for _ in range(CHANGES + 1):
            await cache.delete("here")
        place, changed = await cache.changes(place)
        assert changed is None
        await cache.delete("there")
        assert (await cache.changes(place))[1] == {"there"}

    play(backend.cache(), story)


@pytest.mark.parametrize("words", [("DEL",), ("SET", "junk"), ("XTRIM", "MAXLEN", 0), ("SADD", "junk")])
def test_changes_that_the_store_lost_are_missed_and_not_unheard_of(server: Backend, words: tuple[str, ...]) -> None:
    async def story(cache: CacheStore) -> None:
        place, _ = await cache.changes(None)
        await cache.put("here", b"x", 60, False)
        async with server.store() as store:
            for bucket in range(BUCKETS):
                key = f"{server.prefix}changes:{{{bucket:x}}}"
                if words[0] in ("SET", "SADD"):
                    await store.call("test", "DEL", key)
                await store.call("test", words[0], key, *words[1:])
        place, changed = await cache.changes(place)
        assert changed is None
        await cache.put("here", b"y", 60, False)
        assert (await cache.changes(place))[1] == {"here"}

    play(server.cache(), story)


def test_an_answer_is_stored_though_somebody_else_has_taken_the_place_of_the_changes(server: Backend) -> None:
    async def story(cache: CacheStore) -> None:
        async with server.store() as store:
            for bucket in range(BUCKETS):
                await store.call("test", "SET", f"{server.prefix}changes:{{{bucket:x}}}", "junk")
        await cache.put("here", b"x", 60, False)
        await cache.delete("there")
        assert await cache.get("here") == b"x"

    play(server.cache(), story)
