"""The cache as one worker sees it: memory, then the store; a lost store is a miss, a forged entry is taken away."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from gateway.core import entry_codec, receipts
from gateway.core.cache_directives import NO_DIRECTIVES, CacheDirectives
from gateway.core.cache_plan import CachePlan
from gateway.core.endpoint import ParseConfig
from gateway.core.types import Answer
from gateway.flow.answer_check import AnswerCheck
from gateway.flow.answer_stores import AnswerStores
from gateway.flow.cache_stats import CacheStats
from gateway.flow.local_cache import LocalCache
from gateway.flow.lookup import Lookup
from gateway.flow.namespace_answers import NamespaceAnswers
from gateway.flow.reader_queue import ReaderQueue
from gateway.flow.render import Renderer
from gateway.flow.shared_cache import SharedCache
from gateway.flow.stored import Stored
from tests.fakes.reader import FakeReader
from tests.flow.harness import FIT, Parts, a_call, an_answer

KEY = b"k" * 32
RECEIPTS = b"c" * 32
CALL = a_call()
PLAN = CachePlan("address", "exact", NO_DIRECTIVES, 100.0, first_write_wins=False)
PINNED = replace(PLAN, first_write_wins=True)
ONE, TWO = (an_answer(FIT[:-1] + b',"n":%d}' % n) for n in (1, 2))


class Worker:
    """The way of answers through one worker: look-up, store, rendering."""

    def __init__(self, parts: Parts, max_bytes: int, local_cache: LocalCache | None) -> None:
        runtime = parts.runtime()
        local_cache = local_cache or LocalCache(parts.meter, 0, 2**20)
        namespaces = NamespaceAnswers(parts.namespace_store, b"r" * 32, runtime)
        answers = AnswerCheck(ReaderQueue(FakeReader(ParseConfig({})), parts.meter), parts.meter)
        cache = SharedCache(parts.cache, KEY, max_bytes, runtime)
        self.stores = AnswerStores(cache, namespaces, answers, max_bytes)
        self.renderer, stats = Renderer(local_cache, RECEIPTS), CacheStats(parts.cache, runtime)
        no_spot_checks: Any = None
        self.lookup = Lookup(self.stores, local_cache, self.renderer, stats, no_spot_checks, runtime)

    def local(self, plan: CachePlan) -> Answer | None:
        return self.lookup.local(plan, CALL)

    async def read(self, plan: CachePlan) -> Answer | None:
        return await self.lookup.stored(plan, CALL)

    async def store(self, plan: CachePlan, answer: Answer) -> Stored:
        """Store an answer and render it, as is done for the caller who computed it."""
        since = self.lookup.moment()
        stored = await self.stores.put(plan, CALL, answer)
        await self.lookup.render(plan, CALL, stored.answer, since if stored.stored else None)
        return stored


def a_worker(parts: Parts, max_bytes: int = 1000, local_cache: LocalCache | None = None) -> Worker:
    return Worker(parts, max_bytes, local_cache)


def body(answer: Answer | None) -> bytes | None:
    return None if answer is None else answer.body


def run(parts: Parts, act: Callable[[], Awaitable[None]]) -> None:
    parts.play(lambda _: act())


def errors(parts: Parts, operation: str) -> float:
    return parts.meter.counts[("esmgw_store_errors_total", "cache", operation)]


def test_what_one_worker_keeps_another_reads_and_then_has_at_hand() -> None:
    parts = Parts()

    async def act() -> None:
        one = a_worker(parts)
        assert await one.store(PLAN, ONE) == Stored(ONE, True)
        assert body(one.local(PLAN)) == ONE.body
        other = a_worker(parts)
        assert other.local(PLAN) is None
        assert body(await other.read(PLAN)) == ONE.body
        assert body(other.local(PLAN)) == ONE.body

    run(parts, act)


def test_an_answer_s_time_runs_from_when_it_was_made_in_memory_too() -> None:
    parts = Parts()

    async def act() -> None:
        worker = a_worker(parts)
        await worker.store(PLAN, ONE)
        parts.clock.advance(99.0)
        other = a_worker(parts)
        assert body(await other.read(PLAN)) == ONE.body
        parts.clock.advance(1.5)
        assert worker.local(PLAN) is None
        assert other.local(PLAN) is None
        assert await other.read(PLAN) is None

    run(parts, act)


def test_of_two_first_answers_to_a_pinned_call_the_first_stands_for_both() -> None:
    parts = Parts()

    async def act() -> None:
        one, two = a_worker(parts), a_worker(parts)
        assert await one.store(PINNED, ONE) == Stored(ONE, True)
        assert await two.store(PINNED, TWO) == Stored(ONE, True)
        assert body(two.local(PINNED)) == ONE.body
        assert await two.store(PLAN, TWO) == Stored(TWO, True)
        assert body(two.local(PINNED)) == TWO.body

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
        worker = a_worker(parts)
        await worker.store(PLAN, ONE)
        parts.journal.clear()
        assert worker.local(plan) is None
        assert await worker.read(plan) is None

    run(parts, act)
    assert parts.effects() == []


@pytest.mark.parametrize("plan", [replace(PLAN, cache_key=None), replace(PLAN, store_reachable=False)])
def test_what_may_not_be_kept_is_kept_nowhere(plan: CachePlan) -> None:
    parts = Parts()

    async def act() -> None:
        worker = a_worker(parts)
        assert await worker.store(plan, ONE) == Stored(ONE, False)
        assert worker.local(PLAN) is None

    run(parts, act)
    assert parts.effects() == []


@pytest.mark.parametrize("size, fits", [(1000, True), (1001, False)])
def test_answers_that_are_too_large_are_not_kept(size: int, fits: bool) -> None:
    parts = Parts()

    async def act() -> None:
        worker = a_worker(parts)
        assert (await worker.store(PLAN, an_answer(b"x" * size))).stored is fits

    run(parts, act)
    assert len(parts.cache.entries) == fits


def test_a_lost_store_is_a_miss_and_an_answer_that_is_not_stored() -> None:
    parts = Parts()
    parts.cache.lost.add("*")

    async def act() -> None:
        worker = a_worker(parts)
        assert await worker.read(PLAN) is None
        assert await worker.store(PLAN, ONE) == Stored(ONE, False)
        assert worker.local(PLAN) is None

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
        worker = a_worker(parts)
        assert await worker.read(PLAN) is None
        assert worker.local(PLAN) is None

    run(parts, act)
    assert parts.cache.entries == {}
    assert parts.meter.counts[("esmgw_cache_bad_entries_total",)] == 1


def test_a_forged_entry_cannot_pin_itself_in_the_way_of_a_true_answer() -> None:
    parts = Parts()
    parts.cache.entries["address"] = (b"forged", 4e9)

    async def act() -> None:
        assert await a_worker(parts).store(PINNED, ONE) == Stored(ONE, True)
        assert body(await a_worker(parts).read(PINNED)) == ONE.body

    run(parts, act)


def test_an_earlier_answer_that_is_none_does_not_stand_for_a_pinned_call() -> None:
    parts = Parts()
    hollow = entry_codec.encode(KEY, "address", an_answer(b'{"outputs":{}}'), b"n" * 12)
    parts.cache.entries["address"] = (hollow, 4e9)

    async def act() -> None:
        worker = a_worker(parts)
        first = await worker.store(PINNED, ONE)
        assert (first.answer.body, first.stored) == (ONE.body, False)
        assert parts.cache.entries == {}
        assert await worker.store(PINNED, TWO) == Stored(TWO, True)

    run(parts, act)


def test_a_forged_entry_that_cannot_be_taken_away_is_a_miss_all_the_same() -> None:
    parts = Parts()
    parts.cache.entries["address"] = (b"forged", 4e9)
    parts.cache.lost.add("delete")

    async def act() -> None:
        assert await a_worker(parts).read(PLAN) is None

    run(parts, act)
    assert errors(parts, "delete") == 1


def test_two_entries_of_one_answer_share_no_bytes_to_compare() -> None:
    parts = Parts()

    async def act() -> None:
        worker, blobs = a_worker(parts), set[bytes]()
        for _ in range(3):
            await worker.store(PLAN, ONE)
            blobs.add(parts.cache.entries["address"][0])
        assert len(blobs) == 3
        assert not any(ONE.body in blob for blob in blobs)

    run(parts, act)


def test_an_expired_answer_is_read_but_is_not_at_hand_and_is_kept_for_its_grace() -> None:
    parts, graced = Parts(), replace(PLAN, stale_if_error_s=50.0)

    async def act() -> None:
        worker = a_worker(parts)
        await worker.store(graced, ONE)
        parts.clock.advance(149.0)
        assert worker.local(graced) is None
        assert body(await worker.read(graced)) == ONE.body
        assert worker.local(graced) is None
        parts.clock.advance(2.0)
        assert await worker.read(graced) is None

    run(parts, act)


def test_an_expired_first_answer_makes_way_for_the_next() -> None:
    parts, graced = Parts(), replace(PINNED, stale_if_error_s=50.0)

    async def act() -> None:
        await a_worker(parts).store(graced, ONE)
        parts.clock.advance(101.0)
        later = replace(TWO, created=parts.clock.now())
        assert await a_worker(parts).store(graced, later) == Stored(later, True)
        assert body(await a_worker(parts).read(graced)) == TWO.body

    run(parts, act)


def test_what_a_purge_by_age_has_met_is_not_read_even_to_stand_in() -> None:
    parts = Parts()

    async def act() -> None:
        await a_worker(parts).store(PLAN, ONE)
        assert await a_worker(parts).read(replace(PLAN, purged_before=ONE.created, stale_if_error_s=50.0)) is None
        assert body(await a_worker(parts).read(replace(PLAN, purged_before=ONE.created - 1))) == ONE.body

    run(parts, act)


def test_an_answer_in_memory_does_not_outlive_a_soft_purge_that_memory_has_not_heard_of() -> None:
    parts = Parts()

    async def act() -> None:
        worker = a_worker(parts)
        await worker.store(PLAN, ONE)
        assert worker.local(replace(PLAN, stale_before=ONE.created)) is None

    run(parts, act)


def test_a_look_up_that_a_purge_overtook_is_not_remembered() -> None:
    parts = Parts()
    local_cache = LocalCache(parts.meter, 0, 2**20)
    worker = a_worker(parts, local_cache=local_cache)
    get, found = parts.cache.get, list[bytes | None]()

    async def overtaken(cache_key: str) -> bytes | None:
        blob = await get(cache_key)
        local_cache.clear()
        return blob

    async def act() -> None:
        await a_worker(parts).store(PLAN, ONE)
        parts.cache.get = overtaken  # type: ignore[method-assign]
        found.append(body(await worker.read(PLAN)))
        assert worker.local(PLAN) is None

    run(parts, act)
    assert found == [ONE.body]


def test_an_answer_that_could_not_be_stored_is_not_remembered() -> None:
    parts = Parts()
    parts.cache.lost.add("put")

    async def act() -> None:
        worker = a_worker(parts)
        await worker.store(PLAN, ONE)
        assert worker.local(PLAN) is None

    run(parts, act)


def test_a_later_answer_of_the_same_moment_is_not_taken_for_the_first() -> None:
    parts = Parts()

    async def act() -> None:
        worker = a_worker(parts)
        await worker.store(PLAN, ONE)
        assert (await worker.lookup.render(PLAN, CALL, TWO, worker.lookup.moment())).body == TWO.body

    run(parts, act)


def test_tag_and_receipt_are_the_same_for_whoever_computed_it_and_for_all_who_hit_it() -> None:
    parts, large = Parts(), an_answer(FIT[:-1] + b',"n":[%s1]}' % (b"1," * 2500))

    async def act() -> None:
        workers = [a_worker(parts, 10_000) for _ in range(3)]
        fresh = await workers[0].lookup.render(
            PLAN, CALL, (await workers[0].store(PLAN, large)).answer, workers[0].lookup.moment()
        )
        hits = [workers[0].local(PLAN), *[await worker.read(PLAN) for worker in workers[1:]]]
        assert {(hit.etag, hit.receipt) for hit in hits if hit is not None} == {(fresh.etag, fresh.receipt)}
        assert len(hits) == 3
        assert None not in hits
        other = await workers[0].lookup.render(PLAN, CALL, TWO, None)
        assert other.etag != fresh.etag
        assert other.receipt != fresh.receipt
        assert a_worker(parts).renderer.receipt(fresh.receipt) == workers[0].renderer.receipt(fresh.receipt)

    run(parts, act)


def test_a_receipt_says_which_call_was_answered_when_and_with_which_bytes() -> None:
    parts = Parts()
    worker = a_worker(parts)
    answer = asyncio.run(
        worker.lookup.render(PLAN, CALL, replace(ONE, upstream="https://up.example"), worker.lookup.moment())
    )
    assert worker.renderer.receipt(answer.receipt) == {
        "model": CALL.model,
        "call_sha256": CALL.canonical_digest.hex(),
        "answer_sha256": sha256(ONE.body).hexdigest(),
        "determinism": "exact",
        "computed": "2027-01-15T08:00:00.000+00:00",
        "upstream": "https://up.example",
    }
    assert worker.renderer.receipt(answer.receipt[:-2]) is None
    assert receipts.decode(KEY, answer.receipt) is None
