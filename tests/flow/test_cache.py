"""The cache as one worker sees it: memory, then the store; a lost store is a miss, a forged entry is taken away."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from gateway.core import entry_codec, receipts
from gateway.core.cache_directives import NO_DIRECTIVES, CacheDirectives
from gateway.core.cache_plan import CachePlan
from gateway.core.types import Answer
from gateway.flow.cache import AnswerCache, SealingKeys, Stored
from gateway.flow.local_cache import LocalCache
from tests.flow.harness import Parts, a_call, an_answer

KEY = b"k" * 32
KEYS = SealingKeys(KEY, b"r" * 32, b"c" * 32)
CALL = a_call()
PLAN = CachePlan("address", "exact", NO_DIRECTIVES, 100.0, first_write_wins=False)
PINNED = replace(PLAN, first_write_wins=True)
ONE, TWO = an_answer(b'{"n":1}'), an_answer(b'{"n":2}')


def a_recall(parts: Parts, max_bytes: int = 1000, memory: LocalCache | None = None) -> AnswerCache:
    memory = memory or LocalCache(parts.meter, 0, 2**20)
    return AnswerCache(parts.cache, parts.namespace_store, memory, parts.clock, parts.meter, KEYS, max_bytes)


async def kept(recall: AnswerCache, plan: CachePlan, answer: Answer) -> Stored:
    """Keep an answer and hand it out, as one who computed it does."""
    kept = await recall.keep(plan, CALL, answer)
    recall.present(plan, CALL, kept.answer, remember=kept.stored)
    return kept


def body(answer: Answer | None) -> bytes | None:
    return None if answer is None else answer.body


def run(parts: Parts, act: Callable[[], Awaitable[None]]) -> None:
    parts.play(lambda _: act())


def errors(parts: Parts, operation: str) -> float:
    return parts.meter.counts[("esmgw_store_errors_total", "cache", operation)]


def test_what_one_worker_keeps_another_reads_and_then_has_at_hand() -> None:
    parts = Parts()

    async def act() -> None:
        one = a_recall(parts)
        assert await kept(one, PLAN, ONE) == Stored(ONE, True)
        assert body(one.get_local(PLAN, CALL)) == ONE.body
        other = a_recall(parts)
        assert other.get_local(PLAN, CALL) is None
        assert body(await other.read(PLAN, CALL)) == ONE.body
        assert body(other.get_local(PLAN, CALL)) == ONE.body

    run(parts, act)


def test_an_answer_s_time_runs_from_when_it_was_made_in_memory_too() -> None:
    parts = Parts()

    async def act() -> None:
        recall = a_recall(parts)
        await kept(recall, PLAN, ONE)
        parts.clock.advance(99.0)
        other = a_recall(parts)
        assert body(await other.read(PLAN, CALL)) == ONE.body
        parts.clock.advance(1.5)
        assert recall.get_local(PLAN, CALL) is None
        assert other.get_local(PLAN, CALL) is None
        assert await other.read(PLAN, CALL) is None

    run(parts, act)


def test_of_two_first_answers_to_a_pinned_call_the_first_stands_for_both() -> None:
    parts = Parts()

    async def act() -> None:
        one, two = a_recall(parts), a_recall(parts)
        assert await kept(one, PINNED, ONE) == Stored(ONE, True)
        assert await kept(two, PINNED, TWO) == Stored(ONE, True)
        assert body(two.get_local(PINNED, CALL)) == ONE.body
        assert await kept(two, PLAN, TWO) == Stored(TWO, True)
        assert body(two.get_local(PINNED, CALL)) == TWO.body

    run(parts, act)


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, cache_key=None),
        replace(PLAN, store_reachable=False),
        replace(PLAN, directives=CacheDirectives(no_cache=True)),
    ],
)
def test_what_may_not_be_read_is_not_looked_for(plan: CachePlan) -> None:
    parts = Parts()

    async def act() -> None:
        recall = a_recall(parts)
        await kept(recall, PLAN, ONE)
        parts.journal.clear()
        assert recall.get_local(plan, CALL) is None
        assert await recall.read(plan, CALL) is None

    run(parts, act)
    assert parts.effects() == []


@pytest.mark.parametrize("plan", [replace(PLAN, cache_key=None), replace(PLAN, store_reachable=False)])
def test_what_may_not_be_kept_is_kept_nowhere(plan: CachePlan) -> None:
    parts = Parts()

    async def act() -> None:
        recall = a_recall(parts)
        assert await kept(recall, plan, ONE) == Stored(ONE, False)
        assert recall.get_local(PLAN, CALL) is None

    run(parts, act)
    assert parts.effects() == []


@pytest.mark.parametrize("size, fits", [(1000, True), (1001, False)])
def test_answers_that_are_too_large_are_not_kept(size: int, fits: bool) -> None:
    parts = Parts()

    async def act() -> None:
        recall = a_recall(parts)
        assert (await recall.keep(PLAN, CALL, an_answer(b"x" * size))).stored is fits

    run(parts, act)
    assert len(parts.cache.entries) == fits


def test_a_lost_store_is_a_miss_and_an_answer_that_is_not_stored() -> None:
    parts = Parts()
    parts.cache.lost.add("*")

    async def act() -> None:
        recall = a_recall(parts)
        assert await recall.read(PLAN, CALL) is None
        assert await kept(recall, PLAN, ONE) == Stored(ONE, False)
        assert recall.get_local(PLAN, CALL) is None

    run(parts, act)
    assert errors(parts, "get") == errors(parts, "put") == 1


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"forged",
        entry_codec.encode(b"o" * 32, "address", ONE, b"n" * 12),
        entry_codec.encode(KEY, "another", ONE, b"n" * 12),
        entry_codec.encode(KEY, "address", ONE, b"n" * 12)[:-1],
        entry_codec.encode(KEY, "address", entry_codec.compress(an_answer(b"x" * 5000)), b"n" * 12),
    ],
    ids=["empty", "forged", "of another gateway", "of another call", "cut", "larger than may be kept"],
)
def test_an_entry_that_is_not_ours_for_this_call_is_a_miss_counted_and_taken_away(blob: bytes) -> None:
    parts = Parts()
    parts.cache.entries["address"] = (blob, 4e9)

    async def act() -> None:
        recall = a_recall(parts)
        assert await recall.read(PLAN, CALL) is None
        assert recall.get_local(PLAN, CALL) is None

    run(parts, act)
    assert parts.cache.entries == {}
    assert parts.meter.counts[("esmgw_cache_bad_entries_total",)] == 1


def test_a_forged_entry_cannot_pin_itself_in_the_way_of_a_true_answer() -> None:
    parts = Parts()
    parts.cache.entries["address"] = (b"forged", 4e9)

    async def act() -> None:
        assert await kept(a_recall(parts), PINNED, ONE) == Stored(ONE, True)
        assert body(await a_recall(parts).read(PINNED, CALL)) == ONE.body

    run(parts, act)


def test_a_forged_entry_that_cannot_be_taken_away_is_a_miss_all_the_same() -> None:
    parts = Parts()
    parts.cache.entries["address"] = (b"forged", 4e9)
    parts.cache.lost.add("delete")

    async def act() -> None:
        assert await a_recall(parts).read(PLAN, CALL) is None

    run(parts, act)
    assert errors(parts, "delete") == 1


def test_two_entries_of_one_answer_share_no_bytes_to_compare() -> None:
    parts = Parts()

    async def act() -> None:
        recall, blobs = a_recall(parts), set[bytes]()
        for _ in range(3):
            await kept(recall, PLAN, ONE)
            blobs.add(parts.cache.entries["address"][0])
        assert len(blobs) == 3
        assert not any(ONE.body in blob for blob in blobs)

    run(parts, act)


def test_an_expired_answer_is_read_but_is_not_at_hand_and_is_kept_for_its_grace() -> None:
    parts, graced = Parts(), replace(PLAN, stale_if_error_s=50.0)

    async def act() -> None:
        recall = a_recall(parts)
        await kept(recall, graced, ONE)
        parts.clock.advance(149.0)
        assert recall.get_local(graced, CALL) is None
        assert body(await recall.read(graced, CALL)) == ONE.body
        assert recall.get_local(graced, CALL) is None
        parts.clock.advance(2.0)
        assert await recall.read(graced, CALL) is None

    run(parts, act)


def test_an_expired_first_answer_makes_way_for_the_next() -> None:
    parts, graced = Parts(), replace(PINNED, stale_if_error_s=50.0)

    async def act() -> None:
        await kept(a_recall(parts), graced, ONE)
        parts.clock.advance(101.0)
        later = replace(TWO, created=parts.clock.now())
        assert await kept(a_recall(parts), graced, later) == Stored(later, True)
        assert body(await a_recall(parts).read(graced, CALL)) == TWO.body

    run(parts, act)


def test_what_a_purge_by_age_has_met_is_not_read_even_to_stand_in() -> None:
    parts = Parts()

    async def act() -> None:
        await kept(a_recall(parts), PLAN, ONE)
        assert await a_recall(parts).read(replace(PLAN, purged_before=ONE.created, stale_if_error_s=50.0), CALL) is None
        assert body(await a_recall(parts).read(replace(PLAN, purged_before=ONE.created - 1), CALL)) == ONE.body

    run(parts, act)


def test_an_answer_in_memory_does_not_outlive_a_soft_purge_that_memory_has_not_heard_of() -> None:
    parts = Parts()

    async def act() -> None:
        recall = a_recall(parts)
        await kept(recall, PLAN, ONE)
        assert recall.get_local(replace(PLAN, stale_before=ONE.created), CALL) is None

    run(parts, act)


def test_a_look_up_that_a_purge_overtook_is_not_remembered() -> None:
    parts = Parts()
    memory = LocalCache(parts.meter, 0, 2**20)
    recall = a_recall(parts, memory=memory)
    get, found = parts.cache.get, list[bytes | None]()

    async def overtaken(cache_key: str) -> bytes | None:
        blob = await get(cache_key)
        memory.forget()
        return blob

    async def act() -> None:
        await a_recall(parts).keep(PLAN, CALL, ONE)
        parts.cache.get = overtaken  # type: ignore[method-assign]
        found.append(body(await recall.read(PLAN, CALL)))
        assert recall.get_local(PLAN, CALL) is None

    run(parts, act)
    assert found == [ONE.body]


def test_an_answer_that_could_not_be_stored_is_not_remembered() -> None:
    parts = Parts()
    parts.cache.lost.add("put")

    async def act() -> None:
        recall = a_recall(parts)
        await kept(recall, PLAN, ONE)
        assert recall.get_local(PLAN, CALL) is None

    run(parts, act)


def test_a_later_answer_of_the_same_moment_is_not_taken_for_the_first() -> None:
    parts = Parts()

    async def act() -> None:
        recall = a_recall(parts)
        await kept(recall, PLAN, ONE)
        assert recall.present(PLAN, CALL, TWO).body == TWO.body

    run(parts, act)


def test_tag_and_receipt_are_the_same_for_whoever_computed_it_and_for_all_who_hit_it() -> None:
    parts, large = Parts(), an_answer(b'{"n":"%s"}' % (b"1" * 5000))

    async def act() -> None:
        recalls = [a_recall(parts, 10_000) for _ in range(3)]
        fresh = recalls[0].present(PLAN, CALL, (await recalls[0].keep(PLAN, CALL, large)).answer)
        hits = [recalls[0].get_local(PLAN, CALL), *[await recall.read(PLAN, CALL) for recall in recalls[1:]]]
        assert {(hit.etag, hit.receipt) for hit in hits if hit is not None} == {(fresh.etag, fresh.receipt)}
        assert len(hits) == 3
        assert None not in hits
        other = recalls[0].present(PLAN, CALL, TWO, remember=False)
        assert other.etag != fresh.etag
        assert other.receipt != fresh.receipt
        assert a_recall(parts).receipt(fresh.receipt) == recalls[0].receipt(fresh.receipt)

    run(parts, act)


def test_a_receipt_says_which_call_was_answered_when_and_with_which_bytes() -> None:
    parts = Parts()
    recall = a_recall(parts)
    answer = recall.present(PLAN, CALL, replace(ONE, upstream="https://up.example"))
    assert recall.receipt(answer.receipt) == {
        "model": CALL.model,
        "call_sha256": CALL.canonical_digest.hex(),
        "answer_sha256": sha256(ONE.body).hexdigest(),
        "determinism": "exact",
        "computed": "2027-01-15T08:00:00.000+00:00",
        "upstream": "https://up.example",
    }
    assert recall.receipt(answer.receipt[:-2]) is None
    assert receipts.decode(KEY, answer.receipt) is None
