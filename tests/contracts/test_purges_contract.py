"""What every home of purges promises: numbers only grow, each says exactly what was purged, none can be put back."""

import asyncio
from typing import Any

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_purges import RedisPurges
from gateway.core.purge_state import Purge, PurgeState
from gateway.ports import PurgeStore, StoreUnavailable
from tests.contracts.backends import SECRET, Backend, connected, play
from tests.contracts.proxy import Proxy
from tests.fakes.world import FakeMeter

MODEL, OTHER = "esm3-open-2024-03", "another model: with a colon"
EVERY_KIND = (
    Purge(),
    Purge(model=MODEL),
    Purge(soft=True),
    Purge(model=MODEL, soft=True),
    Purge(older_than_s=3600.0),
    Purge(model=MODEL, soft=True, older_than_s=60.0),
    Purge(key="a" * 64),
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

    play(backend.purge_store(), story)


def test_marks_only_grow(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        for kind in (*EVERY_KIND, *EVERY_KIND):
            before = await purge_store.purge_state()
            assert grown(before, await purge_store.purge(kind)), kind

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
        assert (after.models[MODEL], after.serial - before.serial >= 20) == (20, True)

    play(backend.purge_store(), story)


def test_marks_that_the_store_lost_are_replaced_by_larger_ones(server: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        before = await purge_store.purge_state()
        for _ in range(3):
            before = await purge_store.purge(Purge())
        before = await purge_store.purge(Purge(model=MODEL))
        async with server.store() as store:
            await store.call("test", "DEL", f"{server.prefix}purges")
        after = await purge_store.purge_state(before.serial)
        assert (after.epoch > before.epoch, after.serial > before.serial) == (True, True)
        assert after.generation(MODEL) != before.generation(MODEL)

    play(server.purge_store(), story)


def test_a_purge_of_one_entry_says_from_when_on_it_counts_and_moves_no_address(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        first = await purge_store.purge_state()
        now = (await purge_store.purge(Purge(soft=True))).stale_before("")
        state = await purge_store.purge(Purge(key="b" * 64))
        assert state.gone_before("b" * 64) == pytest.approx(now, abs=5)
        assert (state.gone_before("c" * 64), state.generation(MODEL)) == (0.0, first.generation(MODEL))

    play(backend.purge_store(), story)


def test_the_high_water_mark_is_that_of_the_latest_purge_and_never_falls(backend: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        for kind in EVERY_KIND:
            state = await purge_store.purge(kind)
            assert await purge_store.high_water() == state.serial
        await purge_store.raise_high_water(state.serial - 1)
        assert await purge_store.high_water() == state.serial
        await purge_store.raise_high_water(state.serial + 7)
        assert await purge_store.high_water() == state.serial + 7

    play(backend.purge_store(), story)


def test_a_state_below_the_high_water_mark_is_replaced_by_one_under_which_everything_is_purged(
    backend: Backend,
) -> None:
    async def story(purge_store: PurgeStore) -> None:
        state = await purge_store.purge(Purge(model=MODEL))
        assert await purge_store.purge_state(state.serial) == state
        later = await purge_store.purge_state(state.serial + 1)
        assert later.serial > state.serial
        assert later.generation(MODEL) != state.generation(MODEL)
        assert later.generation(OTHER) != state.generation(OTHER)
        assert await purge_store.purge_state(state.serial + 1) == later

    play(backend.purge_store(), story)


async def put_back(server: Backend, held: bytes | None) -> None:
    async with server.store() as store:
        key = f"{server.prefix}purges"
        await (store.call("test", "DEL", key) if held is None else store.call("test", "SET", key, held))


async def held(server: Backend) -> bytes:
    async with server.store() as store:
        state: bytes = await store.call("test", "GET", f"{server.prefix}purges")
        return state


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_whoever_writes_to_the_cache_store_cannot_put_an_old_state_back(server: Backend, kind: Purge) -> None:
    async def story(purge_store: PurgeStore) -> None:
        first = await purge_store.purge(Purge(model=OTHER))
        old = await held(server)
        purged = await purge_store.purge(kind)
        for planted in (old, None, b"", b"x" * 200, old[:-1] + bytes([old[-1] ^ 1])):
            await put_back(server, planted)
            state = await purge_store.purge_state(await purge_store.high_water())
            assert (state.serial >= purged.serial, state.epoch > first.epoch) == (True, True), planted
        # Also where the next thing that happens is another purge.
        await put_back(server, old)
        assert (await purge_store.purge(Purge(model=MODEL))).epoch > first.epoch

    play(server.purge_store(), story)


def test_a_state_is_sealed_and_the_server_learns_nothing_of_it(server: Backend) -> None:
    async def story(purge_store: PurgeStore) -> None:
        await purge_store.purge(Purge(model=MODEL, soft=True))
        assert MODEL.encode() not in await held(server)

    play(server.purge_store(), story)


def test_a_purge_whose_reply_is_lost_is_told_as_lost_and_has_happened_at_most_once(
    request: pytest.FixtureRequest,
) -> None:
    async def story() -> None:
        stores = request.getfixturevalue("stores")
        async with (
            Proxy(stores.cache.socket).listening() as proxy,
            connected(f"redis://127.0.0.1:{proxy.port}", timeout_s=0.5) as cache,
            connected(stores.state.url, timeout_s=5.0) as state,
        ):
            purge_store = RedisPurges(cache, state, SECRET, SystemClock(), FakeMeter(), prefix="lost-purge:")
            before = await purge_store.purge(Purge(model=MODEL))
            swap = purge_store._swap

            async def losing(*words: Any) -> bool:
                proxy.losing = "cut"
                return await swap(*words)

            purge_store._swap = losing  # type: ignore[method-assign,assignment]
            with pytest.raises(StoreUnavailable):
                await purge_store.purge(Purge(model=MODEL))
            proxy.losing = None
            after = await purge_store.purge_state(await purge_store.high_water())
            assert (before.models[MODEL], after.models[MODEL]) == (1, 2)

    asyncio.run(story())
