"""What all counters of runs promise: each number once, none left out, given-back ones first, and a bound."""

import asyncio

import pytest

from gateway.adapters.redis_run_counters import AGE_S
from gateway.ports import RunCounters, StoreUnavailable
from tests.contracts.backends import Backend, play

MOST = 10_000


def test_of_many_who_ask_at_once_each_gets_another_number_and_none_is_left_out(backend: Backend) -> None:
    async def story(counters: RunCounters) -> None:
        numbers = await asyncio.gather(*(counters.next("ada", "call", MOST) for _ in range(50)))
        assert sorted(number or 0 for number in numbers) == list(range(1, 51))

    play(backend.run_counters(), story)


def test_each_owner_and_each_counter_begins_at_one(backend: Backend) -> None:
    async def story(counters: RunCounters) -> None:
        for owner, counter in (("ada", "a"), ("ada", "b"), ("bob", "a")):
            assert [await counters.next(owner, counter, MOST) for _ in range(2)] == [1, 2]

    play(backend.run_counters(), story)


def test_what_was_given_back_is_taken_first_in_its_order_and_once(backend: Backend) -> None:
    async def story(counters: RunCounters) -> None:
        for _ in range(5):
            await counters.next("ada", "a", MOST)
        for number in (4, 2, 4, 9, 2):
            await counters.give_back("ada", "a", number)
        assert [await counters.next("ada", "a", MOST) for _ in range(4)] == [2, 4, 6, 7]
        await counters.give_back("ada", "never used", 1)
        assert await counters.next("ada", "never used", MOST) == 1

    play(backend.run_counters(), story)


def test_beyond_the_highest_there_is_none_until_one_is_given_back(backend: Backend) -> None:
    async def story(counters: RunCounters) -> None:
        assert [await counters.next("ada", "a", 2) for _ in range(4)] == [1, 2, None, None]
        await counters.give_back("ada", "a", 1)
        assert [await counters.next("ada", "a", 2) for _ in range(2)] == [1, None]

    play(backend.run_counters(), story)


def test_a_counter_that_is_used_outlives_any_number_of_others_and_one_that_rests_does_not(backend: Backend) -> None:
    async def story(counters: RunCounters) -> None:
        assert await counters.next("ada", "resting", MOST) == 1
        await counters.next("ada", "given", MOST)
        used = []
        for i in range(60):
            await counters.next("ada", f"other {i}", MOST)
            used.append(await counters.next("ada", "used", MOST))
            if i < 3:
                await counters.give_back("ada", "given", 1)
        assert used == list(range(1, 61))
        assert await counters.next("ada", "resting", MOST) == 1, "it was forgotten"

    play(backend.run_counters(most=10), story)


def test_a_counter_that_has_been_used_of_late_goes_on_and_one_that_has_rested_too_long_begins_anew(
    backend: Backend,
) -> None:
    async def story(counters: RunCounters) -> None:
        numbers = []
        await counters.next("ada", "resting", MOST)
        await counters.next("ada", "resting", MOST)
        await counters.give_back("ada", "resting", 1)
        for _ in range(6):
            numbers.append(await counters.next("ada", "used", MOST))
            backend.clock.advance(0.6 * AGE_S)
        assert numbers == [1, 2, 3, 4, 5, 6]
        assert [await counters.next("ada", "resting", MOST) for _ in range(2)] == [1, 2]

    play(backend.run_counters(), story)


def test_a_number_given_back_after_its_counter_began_to_rest_is_taken_again(backend: Backend) -> None:
    async def story(counters: RunCounters) -> None:
        assert [await counters.next("ada", "a", MOST) for _ in range(3)] == [1, 2, 3]
        backend.clock.advance(AGE_S)
        await counters.next("ada", "another", MOST)
        await counters.give_back("ada", "a", 2)
        assert [await counters.next("ada", "a", MOST) for _ in range(2)] == [2, 4]

    play(backend.run_counters(), story)


@pytest.mark.parametrize("junk", ["", "x", "-1", "3:", "3:x", "3:1,b", "1e5"])
def test_a_counter_that_somebody_else_wrote_is_a_lost_store_and_not_a_number(server: Backend, junk: str) -> None:
    async def story(counters: RunCounters) -> None:
        async with server.store() as store:
            key = f"{server.prefix}runs:{{ada}}:young"
            await store.call("test", "HSET", key, "a", junk)
            with pytest.raises(StoreUnavailable):
                await counters.next("ada", "a", MOST)
            assert await store.call("test", "HGET", key, "a") == junk.encode()

    play(server.run_counters(), story)


def test_what_is_left_behind_expires(server: Backend) -> None:
    async def story(counters: RunCounters) -> None:
        await counters.next("ada", "a", MOST)
        async with server.store() as store:
            left = await store.call("test", "TTL", f"{server.prefix}runs:{{ada}}:young")
            assert AGE_S < left <= 2 * AGE_S

    play(server.run_counters(), story)
