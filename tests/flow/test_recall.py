"""The cache as one worker sees it: memory, then the store; a lost store is a miss, a forged entry is taken away."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.core import entries
from gateway.core.caching import NO_WISH, Plan, Wish
from gateway.flow.memory import Memory
from gateway.flow.recall import Recall
from tests.flow.house import Parts, an_answer

KEY = b"k" * 32
PLAN = Plan("address", "exact", NO_WISH, 100.0, keep_first=False)
PINNED = replace(PLAN, keep_first=True)
ONE, TWO = an_answer(b'{"n":1}'), an_answer(b'{"n":2}')


def a_recall(parts: Parts, key: bytes = KEY, max_bytes: int = 1000) -> Recall:
    return Recall(parts.cache, Memory(parts.meter, 0, 2**20), parts.clock, parts.meter, key, max_bytes)


def run(parts: Parts, act: Callable[[], Awaitable[None]]) -> None:
    parts.play(lambda _: act())


def errors(parts: Parts, operation: str) -> float:
    return parts.meter.counts[("esmgw_store_errors_total", "cache", operation)]


def test_what_one_worker_keeps_another_reads_and_then_has_at_hand() -> None:
    parts = Parts()

    async def act() -> None:
        assert await a_recall(parts).keep(PLAN, ONE) == (ONE, True)
        other = a_recall(parts)
        assert other.at_hand(PLAN) is None
        assert await other.read(PLAN) == ONE
        assert other.at_hand(PLAN) == ONE

    run(parts, act)


def test_an_answer_s_time_runs_from_when_it_was_made_in_memory_too() -> None:
    parts = Parts()

    async def act() -> None:
        recall = a_recall(parts)
        await recall.keep(PLAN, ONE)
        parts.clock.advance(99.0)
        other = a_recall(parts)
        assert await other.read(PLAN) == ONE
        parts.clock.advance(1.5)
        assert recall.at_hand(PLAN) is None
        assert other.at_hand(PLAN) is None
        assert await other.read(PLAN) is None

    run(parts, act)


def test_of_two_first_answers_to_a_pinned_call_the_first_stands_for_both() -> None:
    parts = Parts()

    async def act() -> None:
        one, two = a_recall(parts), a_recall(parts)
        assert await one.keep(PINNED, ONE) == (ONE, True)
        assert await two.keep(PINNED, TWO) == (ONE, True)
        assert two.at_hand(PINNED) == ONE
        assert await two.keep(PLAN, TWO) == (TWO, True)

    run(parts, act)


@pytest.mark.parametrize(
    "plan",
    [replace(PLAN, address=None), replace(PLAN, in_sight=False), replace(PLAN, wish=Wish(no_cache=True))],
)
def test_what_may_not_be_read_is_not_looked_for(plan: Plan) -> None:
    parts = Parts()

    async def act() -> None:
        recall = a_recall(parts)
        await recall.keep(PLAN, ONE)
        parts.journal.clear()
        assert recall.at_hand(plan) is None
        assert await recall.read(plan) is None

    run(parts, act)
    assert parts.effects() == []


@pytest.mark.parametrize("plan", [replace(PLAN, address=None), replace(PLAN, in_sight=False)])
def test_what_may_not_be_kept_is_kept_nowhere(plan: Plan) -> None:
    parts = Parts()

    async def act() -> None:
        recall = a_recall(parts)
        assert await recall.keep(plan, ONE) == (ONE, False)
        assert recall.at_hand(PLAN) is None

    run(parts, act)
    assert parts.effects() == []


@pytest.mark.parametrize("size, kept", [(1000, True), (1001, False)])
def test_answers_that_are_too_large_are_not_kept(size: int, kept: bool) -> None:
    parts = Parts()

    async def act() -> None:
        assert (await a_recall(parts).keep(PLAN, an_answer(b"x" * size)))[1] is kept

    run(parts, act)
    assert len(parts.cache.entries) == kept


def test_a_lost_store_is_a_miss_and_an_answer_that_is_not_stored() -> None:
    parts = Parts()
    parts.cache.lost.add("*")

    async def act() -> None:
        recall = a_recall(parts)
        assert await recall.read(PLAN) is None
        assert await recall.keep(PLAN, ONE) == (ONE, False)
        assert recall.at_hand(PLAN) is None

    run(parts, act)
    assert errors(parts, "get") == errors(parts, "put") == 1


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"forged",
        entries.close(b"o" * 32, "address", ONE, b"n" * 12),
        entries.close(KEY, "another", ONE, b"n" * 12),
        entries.close(KEY, "address", ONE, b"n" * 12)[:-1],
    ],
)
def test_an_entry_that_is_not_ours_for_this_call_is_a_miss_counted_and_taken_away(blob: bytes) -> None:
    parts = Parts()
    parts.cache.entries["address"] = (blob, 4e9)

    async def act() -> None:
        recall = a_recall(parts)
        assert await recall.read(PLAN) is None
        assert recall.at_hand(PLAN) is None

    run(parts, act)
    assert parts.cache.entries == {}
    assert parts.meter.counts[("esmgw_cache_bad_entries_total",)] == 1


def test_a_forged_entry_cannot_pin_itself_in_the_way_of_a_true_answer() -> None:
    parts = Parts()
    parts.cache.entries["address"] = (b"forged", 4e9)

    async def act() -> None:
        assert await a_recall(parts).keep(PINNED, ONE) == (ONE, True)
        assert await a_recall(parts).read(PINNED) == ONE

    run(parts, act)


def test_a_forged_entry_that_cannot_be_taken_away_is_a_miss_all_the_same() -> None:
    parts = Parts()
    parts.cache.entries["address"] = (b"forged", 4e9)
    parts.cache.lost.add("delete")

    async def act() -> None:
        assert await a_recall(parts).read(PLAN) is None

    run(parts, act)
    assert errors(parts, "delete") == 1


def test_two_entries_of_one_answer_share_no_bytes_to_compare() -> None:
    parts = Parts()

    async def act() -> None:
        recall, blobs = a_recall(parts), set[bytes]()
        for _ in range(3):
            await recall.keep(PLAN, ONE)
            blobs.add(parts.cache.entries["address"][0])
        assert len(blobs) == 3
        assert not any(ONE.body in blob for blob in blobs)

    run(parts, act)
