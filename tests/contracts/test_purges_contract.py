"""What every home of purge marks promises: they only grow, and each says exactly what was purged."""

import asyncio

import pytest

from gateway.adapters.redis_purges import RedisPurges
from gateway.core.purge_state import Purge, PurgeState
from gateway.ports import PurgeStore, StoreUnavailable
from tests.contracts.backends import Backend, connected, play
from tests.contracts.proxy import Proxy

MODEL, OTHER = "esm3-open-2024-03", "another model: with a colon"
EVERY_KIND = (
    Purge(),
    Purge(model=MODEL),
    Purge(soft=True),
    Purge(model=MODEL, soft=True),
    Purge(older_than_s=3600.0),
    Purge(model=MODEL, soft=True, older_than_s=60.0),
)


def grown(before: PurgeState, after: PurgeState) -> bool:
    """Nothing became smaller, and something larger."""
    pairs = [(before.epoch, after.epoch), (before.serial, after.serial), (before.purged_before, after.purged_before)]
    pairs += [(number, after.models.get(model, -1)) for model, number in before.models.items()]
    pairs += [(moment, after.stale.get(model, -1.0)) for model, moment in before.stale.items()]
    return all(new >= old for old, new in pairs) and after.serial > before.serial


def test_looking_changes_nothing(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        first = await purge_store.purge_state()
        assert await purge_store.purge_state() == first
        assert (first.models, first.purged_before, first.stale) == ({}, 0.0, {})

    play(backend.purge_store(), story)


def test_what_a_purge_answers_is_what_everybody_reads_from_then_on(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        for kind in EVERY_KIND:
            assert await purge_store.purge(kind) == await purge_store.purge_state()
        assert await purge_store.touch() == await purge_store.purge_state()

    play(backend.purge_store(), story)


def test_marks_only_grow(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        for kind in (*EVERY_KIND, *EVERY_KIND):
            before = await purge_store.purge_state()
            assert grown(before, await purge_store.purge(kind)), kind
        before = await purge_store.purge_state()
        assert grown(before, await purge_store.touch())

    play(backend.purge_store(), story)


def test_a_hard_purge_moves_every_address_and_one_of_a_model_only_that_model_s(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        first = await purge_store.purge_state()
        of_model = await purge_store.purge(Purge(model=MODEL))
        assert of_model.generation(MODEL) != first.generation(MODEL)
        assert of_model.generation(OTHER) == first.generation(OTHER)
        of_all = await purge_store.purge(Purge())
        assert of_all.generation(MODEL) != of_model.generation(MODEL)
        assert of_all.generation(OTHER) != of_model.generation(OTHER)

    play(backend.purge_store(), story)


def test_a_soft_purge_moves_no_address_and_makes_stale_what_it_names(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        first = await purge_store.purge_state()
        one = await purge_store.purge(Purge(model=OTHER, soft=True))
        assert (one.generation(OTHER), one.generation(MODEL)) == (first.generation(OTHER), first.generation(MODEL))
        assert one.stale_before(OTHER) > 0 == one.stale_before(MODEL)
        both = await purge_store.purge(Purge(soft=True))
        assert both.stale_before(MODEL) >= one.stale_before(OTHER)
        assert both.purged_before == 0

    play(backend.purge_store(), story)


def test_a_purge_by_age_forgets_or_makes_stale_what_is_older_and_nothing_younger(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        now = (await purge_store.purge(Purge(soft=True))).stale_before("")
        soft = await purge_store.purge(Purge(model=MODEL, soft=True, older_than_s=1000.0))
        assert soft.stale[MODEL] == pytest.approx(now - 1000, abs=5)
        hard = await purge_store.purge(Purge(older_than_s=1000.0))
        assert hard.purged_before == pytest.approx(now - 1000, abs=5)
        # What is gone stays gone: a later purge of still older ones brings nothing back.
        assert (await purge_store.purge(Purge(older_than_s=5000.0))).purged_before == hard.purged_before
        assert (await purge_store.purge(Purge(model=MODEL, soft=True, older_than_s=5000.0))).stale[MODEL] == soft.stale[
            MODEL
        ]

    play(backend.purge_store(), story)


def test_purges_at_the_same_moment_all_count(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        before = await purge_store.purge_state()
        await asyncio.gather(*(purge_store.purge(Purge(model=MODEL)) for _ in range(20)))
        after = await purge_store.purge_state()
        assert (after.models[MODEL], after.serial - before.serial) == (20, 20)

    play(backend.purge_store(), story)


def test_marks_that_the_store_lost_are_replaced_by_larger_ones(server: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        before = await purge_store.purge_state()
        for _ in range(3):
            before = await purge_store.purge(Purge())
        before = await purge_store.purge(Purge(model=MODEL))
        async with server.store() as store:
            await store.call("test", "DEL", f"{server.prefix}purge_state")
        after = await purge_store.purge_state()
        assert (after.epoch > before.epoch, after.serial > before.serial) == (True, True)
        assert after.generation(MODEL) != before.generation(MODEL)

    play(server.purge_store(), story)


@pytest.mark.parametrize("ahead_s", [1.0, 3600.0])
def test_no_number_falls_where_the_store_s_clock_was_set_back(server: Backend, ahead_s: float) -> None:
    async def story(purge_store: PurgeStore) -> None:
        await purge_store.purge(Purge())
        async with server.store() as store:
            seconds, micros = await store.call("time", "TIME")
            # What a purge wrote while the clock was ahead.
            later = int((int(seconds) + ahead_s) * 1e6) + int(micros)
            await store.call("ahead", "HSET", f"{server.prefix}purge_state", "epoch", later, "serial", later)
        for _ in range(3):
            before = await purge_store.purge_state()
            after = await purge_store.purge(Purge())
            assert (after.epoch, after.serial) == (before.epoch + 1, before.serial + 1)

    play(server.purge_store(), story)


def test_a_purge_whose_reply_is_lost_is_told_as_lost_and_has_happened_once(request: pytest.FixtureRequest) -> None:
    async def story() -> None:
        target = request.getfixturevalue("stores").cache.socket
        lossy = Proxy(target).listening()
        async with lossy as proxy, connected(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.5) as store:
            purge_store = RedisPurges(store, prefix="lost-purge:")
            before = await purge_store.purge(Purge(model=MODEL))
            proxy.losing = "cut"
            with pytest.raises(StoreUnavailable):
                await purge_store.purge(Purge(model=MODEL))
            after = await purge_store.purge_state()
            assert (before.models[MODEL], after.models[MODEL]) == (1, 2)

    asyncio.run(story())
