"""What every archive promises: the first answer stays, a closed namespace takes nothing, what is gone is gone."""

import asyncio

import pytest

from gateway.core.nouns import Namespace
from gateway.ports import Archive, Held, NotKept
from tests.contracts.worlds import World, play

PAPER = Namespace("paper-2026", 1000.25, None, "Figure 3 \N{BUTTERFLY}")
OTHER = Namespace("a", 2000.0)


def address(number: int) -> str:
    return f"{number:064x}"


def test_a_namespace_is_found_as_it_was_created_until_it_is_dropped(world: World) -> None:
    async def story(archive: Archive) -> None:
        assert dict(await archive.namespaces()) == {}
        assert await archive.create(PAPER)
        assert await archive.create(OTHER)
        assert dict(await archive.namespaces()) == {"paper-2026": PAPER, "a": OTHER}
        assert await archive.drop("a") == 0
        assert dict(await archive.namespaces()) == {"paper-2026": PAPER}

    play(world.archive(), story)


def test_a_name_is_given_once_also_to_many_who_ask_at_once(world: World) -> None:
    async def story(archive: Archive) -> None:
        made = await asyncio.gather(*(archive.create(Namespace("paper", float(i))) for i in range(10)))
        assert made.count(True) == 1
        assert (await archive.namespaces())["paper"].created == made.index(True)

    play(world.archive(), story)


def test_there_are_only_so_many_namespaces(world: World) -> None:
    async def story(archive: Archive) -> None:
        for i in range(3):
            assert await archive.create(Namespace(f"n{i}", 1.0))
        with pytest.raises(NotKept, match="too many"):
            await archive.create(OTHER)
        assert not await archive.create(Namespace("n1", 1.0))
        await archive.drop("n0")
        assert await archive.create(OTHER)

    play(world.archive(most=3), story)


def test_the_first_entry_is_kept_and_told_to_whoever_comes_later(world: World) -> None:
    blob = bytes(range(256)) * 1000

    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        assert await archive.get("paper-2026", address(1)) is None
        assert await archive.put("paper-2026", address(1), blob) is None
        assert await archive.put("paper-2026", address(1), b"second") == blob
        assert await archive.get("paper-2026", address(1)) == blob
        assert await archive.held("paper-2026") == Held(1, len(blob), closed=False)

    play(world.archive(), story)


def test_of_many_first_entries_all_get_the_same(world: World) -> None:
    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        blobs = [b"%d" % i for i in range(20)]
        standing = await asyncio.gather(*(archive.put("paper-2026", address(1), blob) for blob in blobs))
        assert len({kept if kept is not None else blob for kept, blob in zip(standing, blobs, strict=True)}) == 1
        assert standing.count(None) == 1
        assert (await archive.held("paper-2026")).entries == 1

    play(world.archive(), story)


def test_namespaces_do_not_see_each_other_s_entries(world: World) -> None:
    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        await archive.create(OTHER)
        await archive.put("a", address(1), b"of a")
        assert await archive.get("paper-2026", address(1)) is None
        assert await archive.held("paper-2026") == Held(0, 0, closed=False)
        assert await archive.page("paper-2026") == []

    play(world.archive(), story)


def test_a_frozen_namespace_takes_nothing_and_gives_what_it_has(world: World) -> None:
    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        await archive.put("paper-2026", address(1), b"first")
        assert await archive.freeze("paper-2026", 3000.123456)
        with pytest.raises(NotKept, match="frozen"):
            await archive.put("paper-2026", address(2), b"late")
        assert await archive.put("paper-2026", address(1), b"late") == b"first"
        assert await archive.get("paper-2026", address(2)) is None
        assert await archive.held("paper-2026") == Held(1, 5, closed=True)
        described = (await archive.namespaces())["paper-2026"]
        assert described == Namespace("paper-2026", PAPER.created, 3000.123456, PAPER.note)

    play(world.archive(), story)


def test_freezing_again_changes_nothing_not_even_the_time(world: World) -> None:
    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        assert await archive.freeze("paper-2026", 3000.0)
        assert await archive.freeze("paper-2026", 4000.0)
        assert (await archive.namespaces())["paper-2026"].frozen == 3000.0

    play(world.archive(), story)


def test_while_many_write_a_freeze_draws_one_line(world: World) -> None:
    async def put(archive: Archive, number: int) -> bool:
        try:
            return await archive.put("paper-2026", address(number), b"x") is None
        except NotKept:
            return False

    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        writing = [asyncio.ensure_future(put(archive, i)) for i in range(60)]
        await writing[5]
        await archive.freeze("paper-2026", 3000.0)
        held = await archive.held("paper-2026")
        kept = await asyncio.gather(*writing)
        assert await archive.held("paper-2026") == held
        assert sum(kept) == held.entries

    play(world.archive(), story)


def test_a_namespace_that_is_described_as_frozen_can_be_filled_until_it_is_closed(world: World) -> None:
    imported = Namespace("paper-2026", 1000.0, 2000.5, "from elsewhere")

    async def story(archive: Archive) -> None:
        await archive.create(imported)
        assert (await archive.namespaces())["paper-2026"] == imported
        assert await archive.put("paper-2026", address(1), b"x") is None
        assert not (await archive.held("paper-2026")).closed
        assert await archive.freeze("paper-2026", 2000.5)
        assert (await archive.held("paper-2026")).closed
        assert (await archive.namespaces())["paper-2026"] == imported

    play(world.archive(), story)


def test_a_full_namespace_says_so_and_counts_what_it_gives_back(world: World) -> None:
    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        await archive.put("paper-2026", address(1), b"x" * 60)
        with pytest.raises(NotKept, match="full"):
            await archive.put("paper-2026", address(2), b"x" * 41)
        await archive.put("paper-2026", address(3), b"x" * 40)
        assert await archive.remove("paper-2026", address(1))
        await archive.put("paper-2026", address(2), b"x" * 60)
        assert await archive.held("paper-2026") == Held(2, 100, closed=False)

    play(world.archive(max_bytes=100), story)


def test_what_was_dropped_is_gone_and_takes_nothing_also_from_who_comes_late(world: World) -> None:
    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        await archive.put("paper-2026", address(1), b"x")
        assert await archive.drop("paper-2026") == 1
        assert await archive.get("paper-2026", address(1)) is None
        with pytest.raises(NotKept, match="gone"):
            await archive.put("paper-2026", address(2), b"late")
        assert not await archive.freeze("paper-2026", 1.0)
        assert dict(await archive.namespaces()) == {}
        assert await archive.drop("paper-2026") == 0
        assert await archive.create(PAPER)
        assert await archive.held("paper-2026") == Held(0, 0, closed=False)
        assert await archive.page("paper-2026") == []

    play(world.archive(), story)


def test_one_entry_is_taken_out_also_of_a_frozen_namespace(world: World) -> None:
    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        await archive.put("paper-2026", address(1), b"x")
        await archive.put("paper-2026", address(2), b"y")
        await archive.freeze("paper-2026", 3000.0)
        assert await archive.remove("paper-2026", address(1))
        assert not await archive.remove("paper-2026", address(1))
        for bookkeeping in ("open", "frozen", "bytes", "last"):
            assert not await archive.remove("paper-2026", bookkeeping)
        assert not await archive.remove("nowhere", address(1))
        assert [at for _, at in await archive.page("paper-2026")] == [address(2)]
        assert await archive.held("paper-2026") == Held(1, 1, closed=True)

    play(world.archive(), story)


def test_a_live_namespace_can_be_emptied_and_a_frozen_one_cannot(world: World) -> None:
    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        for i in range(3):
            await archive.put("paper-2026", address(i), b"x")
        assert await archive.empty("paper-2026") == 3
        assert await archive.held("paper-2026") == Held(0, 0, closed=False)
        assert await archive.put("paper-2026", address(1), b"anew") is None
        await archive.freeze("paper-2026", 3000.0)
        with pytest.raises(NotKept, match="frozen"):
            await archive.empty("paper-2026")
        assert await archive.get("paper-2026", address(1)) == b"anew"
        with pytest.raises(NotKept):
            await archive.empty("nowhere")

    play(world.archive(), story)


def test_pages_hold_every_entry_once_in_the_order_in_which_they_came(world: World) -> None:
    numbers = [(i * 7919) % 1000 for i in range(600)]

    async def story(archive: Archive) -> None:
        await archive.create(PAPER)
        for number in numbers:
            await archive.put("paper-2026", address(number), b"x")
        found: list[str] = []
        after = 0
        while page := await archive.page("paper-2026", after, 256):
            assert len(page) <= 256
            found += [at for _, at in page]
            after = page[-1][0]
        assert found == [address(number) for number in numbers]

    play(world.archive(), story)
