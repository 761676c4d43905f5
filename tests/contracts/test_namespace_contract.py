"""What every archive promises: the first answer stays, a closed namespace takes nothing, what is gone is gone."""

import asyncio

import pytest

from gateway.core.types import Namespace
from gateway.ports import NamespaceContents, NamespaceStore, NotStored
from tests.contracts.backends import Backend, play

PAPER = Namespace("paper-2026", 1000.25, None, "Figure 3 \N{BUTTERFLY}")
OTHER = Namespace("a", 2000.0)


def cache_key(number: int) -> str:
    return f"{number:064x}"


def test_a_namespace_is_found_as_it_was_created_until_it_is_dropped(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        assert dict(await namespace_store.namespaces()) == {}
        assert await namespace_store.create(PAPER)
        assert await namespace_store.create(OTHER)
        assert dict(await namespace_store.namespaces()) == {"paper-2026": PAPER, "a": OTHER}
        assert await namespace_store.drop("a") == 0
        assert dict(await namespace_store.namespaces()) == {"paper-2026": PAPER}

    play(backend.namespace_store(), story)


def test_an_entry_gets_another_key_also_when_closed_and_keeps_its_place(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        for i in range(3):
            await namespace_store.put("paper-2026", cache_key(i), b"entry %d" % i)
        await namespace_store.freeze("paper-2026", 2000.0)
        assert await namespace_store.move("paper-2026", cache_key(1), cache_key(9), b"longer than before")
        assert await namespace_store.get("paper-2026", cache_key(1)) is None
        assert await namespace_store.get("paper-2026", cache_key(9)) == b"longer than before"
        rows = await namespace_store.page("paper-2026")
        assert [key for _, key in rows] == [cache_key(0), cache_key(9), cache_key(2)]
        assert await namespace_store.contents("paper-2026") == NamespaceContents(3, 7 + 18 + 7, closed=True)
        assert not await namespace_store.move("paper-2026", cache_key(1), cache_key(8), b"x")
        assert not await namespace_store.move("paper-2026", cache_key(0), cache_key(2), b"x")
        assert await namespace_store.get("paper-2026", cache_key(2)) == b"entry 2"
        assert not await namespace_store.move("nowhere", cache_key(0), cache_key(2), b"x")

    play(backend.namespace_store(), story)


def test_a_name_is_given_once_also_to_many_who_ask_at_once(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        made = await asyncio.gather(*(namespace_store.create(Namespace("paper", float(i))) for i in range(10)))
        assert made.count(True) == 1
        assert (await namespace_store.namespaces())["paper"].created == made.index(True)

    play(backend.namespace_store(), story)


def test_there_are_only_so_many_namespaces(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        for i in range(3):
            assert await namespace_store.create(Namespace(f"n{i}", 1.0))
        with pytest.raises(NotStored, match="too many"):
            await namespace_store.create(OTHER)
        assert not await namespace_store.create(Namespace("n1", 1.0))
        await namespace_store.drop("n0")
        assert await namespace_store.create(OTHER)

    play(backend.namespace_store(most=3), story)


def test_the_first_entry_is_kept_and_told_to_whoever_comes_later(backend: Backend) -> None:
    blob = bytes(range(256)) * 1000

    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        assert await namespace_store.get("paper-2026", cache_key(1)) is None
        assert await namespace_store.put("paper-2026", cache_key(1), blob) is None
        assert await namespace_store.put("paper-2026", cache_key(1), b"second") == blob
        assert await namespace_store.get("paper-2026", cache_key(1)) == blob
        assert await namespace_store.contents("paper-2026") == NamespaceContents(1, len(blob), closed=False)

    play(backend.namespace_store(), story)


def test_several_entries_are_found_in_the_order_in_which_they_are_asked_for(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        for number in (1, 2):
            await namespace_store.put("paper-2026", cache_key(number), b"%d" % number)
        keys = [cache_key(number) for number in (2, 3, 1)]
        assert list(await namespace_store.get_all("paper-2026", keys)) == [b"2", None, b"1"]
        assert list(await namespace_store.get_all("none", keys)) == [None, None, None]

    play(backend.namespace_store(), story)


def test_of_many_first_entries_all_get_the_same(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        blobs = [b"%d" % i for i in range(20)]
        standing = await asyncio.gather(*(namespace_store.put("paper-2026", cache_key(1), blob) for blob in blobs))
        assert len({kept if kept is not None else blob for kept, blob in zip(standing, blobs, strict=True)}) == 1
        assert standing.count(None) == 1
        assert (await namespace_store.contents("paper-2026")).entries == 1

    play(backend.namespace_store(), story)


def test_namespaces_do_not_see_each_other_s_entries(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        await namespace_store.create(OTHER)
        await namespace_store.put("a", cache_key(1), b"of a")
        assert await namespace_store.get("paper-2026", cache_key(1)) is None
        assert await namespace_store.contents("paper-2026") == NamespaceContents(0, 0, closed=False)
        assert await namespace_store.page("paper-2026") == []

    play(backend.namespace_store(), story)


def test_a_frozen_namespace_takes_nothing_and_gives_what_it_has(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        await namespace_store.put("paper-2026", cache_key(1), b"first")
        assert await namespace_store.freeze("paper-2026", 3000.123456)
        with pytest.raises(NotStored, match="frozen"):
            await namespace_store.put("paper-2026", cache_key(2), b"late")
        assert await namespace_store.put("paper-2026", cache_key(1), b"late") == b"first"
        assert await namespace_store.get("paper-2026", cache_key(2)) is None
        assert await namespace_store.contents("paper-2026") == NamespaceContents(1, 5, closed=True)
        described = (await namespace_store.namespaces())["paper-2026"]
        assert described == Namespace("paper-2026", PAPER.created, 3000.123456, PAPER.note)

    play(backend.namespace_store(), story)


def test_freezing_again_changes_nothing_not_even_the_time(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        assert await namespace_store.freeze("paper-2026", 3000.0)
        assert await namespace_store.freeze("paper-2026", 4000.0)
        assert (await namespace_store.namespaces())["paper-2026"].frozen == 3000.0

    play(backend.namespace_store(), story)


def test_while_many_write_a_freeze_draws_one_line(backend: Backend) -> None:
    async def put(namespace_store: NamespaceStore, number: int) -> bool:
        try:
            return await namespace_store.put("paper-2026", cache_key(number), b"x") is None
        except NotStored:
            return False

    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        writing = [asyncio.ensure_future(put(namespace_store, i)) for i in range(60)]
        await writing[5]
        await namespace_store.freeze("paper-2026", 3000.0)
        contents = await namespace_store.contents("paper-2026")
        kept = await asyncio.gather(*writing)
        assert await namespace_store.contents("paper-2026") == contents
        assert sum(kept) == contents.entries

    play(backend.namespace_store(), story)


def test_a_namespace_that_is_described_as_frozen_can_be_filled_until_it_is_closed(backend: Backend) -> None:
    imported = Namespace("paper-2026", 1000.0, 2000.5, "from elsewhere")

    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(imported)
        assert (await namespace_store.namespaces())["paper-2026"] == imported
        assert await namespace_store.put("paper-2026", cache_key(1), b"x") is None
        assert not (await namespace_store.contents("paper-2026")).closed
        assert await namespace_store.freeze("paper-2026", 2000.5)
        assert (await namespace_store.contents("paper-2026")).closed
        assert (await namespace_store.namespaces())["paper-2026"] == imported

    play(backend.namespace_store(), story)


def test_a_full_namespace_says_so_and_counts_what_it_gives_back(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        await namespace_store.put("paper-2026", cache_key(1), b"x" * 60)
        with pytest.raises(NotStored, match="full"):
            await namespace_store.put("paper-2026", cache_key(2), b"x" * 41)
        await namespace_store.put("paper-2026", cache_key(3), b"x" * 40)
        assert await namespace_store.remove("paper-2026", cache_key(1))
        await namespace_store.put("paper-2026", cache_key(2), b"x" * 60)
        assert await namespace_store.contents("paper-2026") == NamespaceContents(2, 100, closed=False)

    play(backend.namespace_store(max_bytes=100), story)


def test_what_was_dropped_is_gone_and_takes_nothing_also_from_who_comes_late(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        await namespace_store.put("paper-2026", cache_key(1), b"x")
        assert await namespace_store.drop("paper-2026") == 1
        assert await namespace_store.get("paper-2026", cache_key(1)) is None
        with pytest.raises(NotStored, match="gone"):
            await namespace_store.put("paper-2026", cache_key(2), b"late")
        assert not await namespace_store.freeze("paper-2026", 1.0)
        assert dict(await namespace_store.namespaces()) == {}
        assert await namespace_store.drop("paper-2026") == 0
        assert await namespace_store.create(PAPER)
        assert await namespace_store.contents("paper-2026") == NamespaceContents(0, 0, closed=False)
        assert await namespace_store.page("paper-2026") == []

    play(backend.namespace_store(), story)


def test_one_entry_is_taken_out_also_of_a_frozen_namespace(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        await namespace_store.put("paper-2026", cache_key(1), b"x")
        await namespace_store.put("paper-2026", cache_key(2), b"y")
        await namespace_store.freeze("paper-2026", 3000.0)
        assert await namespace_store.remove("paper-2026", cache_key(1))
        assert not await namespace_store.remove("paper-2026", cache_key(1))
        for bookkeeping in ("open", "frozen", "bytes", "last"):
            assert not await namespace_store.remove("paper-2026", bookkeeping)
        assert not await namespace_store.remove("nowhere", cache_key(1))
        assert [at for _, at in await namespace_store.page("paper-2026")] == [cache_key(2)]
        assert await namespace_store.contents("paper-2026") == NamespaceContents(1, 1, closed=True)

    play(backend.namespace_store(), story)


def test_a_live_namespace_can_be_emptied_and_a_frozen_one_cannot(backend: Backend) -> None:
    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        for i in range(3):
            await namespace_store.put("paper-2026", cache_key(i), b"x")
        assert await namespace_store.empty("paper-2026") == 3
        assert await namespace_store.contents("paper-2026") == NamespaceContents(0, 0, closed=False)
        assert await namespace_store.put("paper-2026", cache_key(1), b"anew") is None
        await namespace_store.freeze("paper-2026", 3000.0)
        with pytest.raises(NotStored, match="frozen"):
            await namespace_store.empty("paper-2026")
        assert await namespace_store.get("paper-2026", cache_key(1)) == b"anew"
        with pytest.raises(NotStored):
            await namespace_store.empty("nowhere")

    play(backend.namespace_store(), story)


def test_pages_hold_every_entry_once_in_the_order_in_which_they_came(backend: Backend) -> None:
    numbers = [(i * 7919) % 1000 for i in range(600)]

    async def story(namespace_store: NamespaceStore) -> None:
        await namespace_store.create(PAPER)
        for number in numbers:
            await namespace_store.put("paper-2026", cache_key(number), b"x")
        found: list[str] = []
        after = 0
        while page := await namespace_store.page("paper-2026", after, 256):
            assert len(page) <= 256
            found += [at for _, at in page]
            after = page[-1][0]
        assert found == [cache_key(number) for number in numbers]

    play(backend.namespace_store(), story)
