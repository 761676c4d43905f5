"""The look that is taken twice a second: what memory must forget, and when the cache has no part in any call."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.purge_state import Purge, PurgeState
from gateway.core.types import Namespace
from gateway.flow.authenticate import Authenticator
from gateway.flow.invalidation_poller import INTERVAL_S, VALID_FOR_S, InvalidationPoller
from gateway.flow.local_cache import LocalCache
from gateway.flow.runtime import BackgroundTasks
from tests.flow.harness import Parts, a_call, an_answer

EVERYTHING = Purge()
PAPER = Namespace("paper", 1.0)


class Post:
    """A watch over a keyring and a memory that count how often they were told to forget."""

    def __init__(self) -> None:
        self.parts = p = Parts()
        self.memory = LocalCache(p.meter, 2**20, 2**20)
        self.authenticator = Authenticator(p.directory, p.runtime(), b"p" * 32)
        self.poller = InvalidationPoller(
            p.directory, p.cache, p.purge_store, p.namespace_store, self.authenticator, self.memory, p.runtime()
        )

    def keep(self) -> None:
        self.memory.put_answer("a", a_call(), an_answer(), 4e9, self.memory.moment())

    def keeps(self) -> bool:
        return self.memory.answer("a", a_call()) is not None

    def purge(self, what: Purge = EVERYTHING) -> PurgeState:
        return asyncio.run(self.parts.purge_store.purge(what))

    def poll(self) -> None:
        async def act(tasks: BackgroundTasks) -> None:
            await self.poller.poll()

        self.parts.play(act)


def test_before_the_first_look_the_cache_has_no_part_in_any_call() -> None:
    assert Post().poller.purge_state() is None


def test_a_look_at_what_has_not_changed_forgets_nothing() -> None:
    post = Post()
    post.poll()
    generation = post.authenticator._generation
    post.keep()
    post.poll()
    assert (post.poller.purge_state(), post.keeps(), post.authenticator._generation) == (
        PurgeState(0),
        True,
        generation,
    )


@pytest.mark.parametrize(
    "what",
    [EVERYTHING, Purge("esm3"), Purge(soft=True), Purge("esm3", soft=True), Purge(older_than_s=3600.0), Purge(key="a")],
)
def test_every_kind_of_purge_empties_the_memory(what: Purge) -> None:
    post = Post()
    post.poll()
    post.keep()
    purge_state = post.purge(what)
    assert post.keeps()
    post.poll()
    assert (post.poller.purge_state(), post.keeps()) == (purge_state, False)
    assert post.parts.meter.gauges[("esmgw_local_cache_bytes", "answers")] == 0


def test_a_change_of_any_key_makes_the_keyring_forget_and_leaves_the_answers() -> None:
    post = Post()
    post.poll()
    post.keep()
    generation = post.authenticator._generation
    post.parts.directory.changes += 1
    post.poll()
    assert (post.authenticator._generation, post.keeps()) == (generation + 1, True)


def test_two_seconds_without_the_store_s_word_and_the_marks_are_unknown() -> None:
    post = Post()
    post.poll()
    post.parts.clock.advance(VALID_FOR_S)
    assert post.poller.purge_state() == PurgeState(0)
    post.parts.clock.advance(0.01)
    assert post.poller.purge_state() is None
    post.poll()
    assert post.poller.purge_state() == PurgeState(0)


def test_the_marks_are_as_old_as_the_question_not_as_the_answer() -> None:
    post = Post()
    purge_state = post.parts.purge_store.purge_state

    async def slow(at_least: int = 0) -> PurgeState:
        value = await purge_state()
        await post.parts.clock.sleep(1.5)
        return value

    post.parts.purge_store.purge_state = slow  # type: ignore[method-assign]
    post.poll()
    assert post.poller.purge_state() == PurgeState(0)
    post.parts.clock.advance(0.6)
    assert post.poller.purge_state() is None


@pytest.mark.parametrize(
    "part, operation, counted, seen",
    [
        ("purge_store", "purge_state", ("cache", "purge_state"), {"keys", "namespaces"}),
        ("cache", "changes", ("cache", "changes"), {"keys", "namespaces"}),
        ("directory", "epoch", ("state", "epoch"), {"purge_state", "namespaces"}),
        ("namespace_store", "namespaces", ("state", "namespaces"), {"purge_state", "keys"}),
        ("namespace_store", "changes", ("state", "namespaces"), {"purge_state", "keys"}),
        ("purge_store", "high_water", ("state", "high_water"), {"purge_state", "keys", "namespaces"}),
    ],
)
def test_a_lost_store_is_counted_and_hides_nothing_else(
    part: str, operation: str, counted: tuple[str, str], seen: set[str]
) -> None:
    post = Post()
    post.poll()
    generation = post.authenticator._generation
    post.purge()
    post.parts.directory.changes += 1
    post.parts.namespace_store.named["paper"] = PAPER
    getattr(post.parts, part).lost.add(operation)
    post.poll()
    assert (
        post.parts.meter.counts[("esmgw_store_errors_total", *counted)] >= 1
    )  # twice where the mark says that it is behind
    assert post.poller.purge_state() == (PurgeState(1, 1) if "purge_state" in seen else None)
    assert post.authenticator._generation - generation == ("keys" in seen)
    assert (post.poller.namespace("paper") is not None) == ("namespaces" in seen)


def test_a_namespace_is_known_from_the_next_look_on_as_it_is_then() -> None:
    post = Post()
    post.poll()
    post.parts.namespace_store.named["paper"] = PAPER
    assert post.poller.namespace("paper") is None
    post.poll()
    assert post.poller.namespace("paper") == PAPER
    post.parts.namespace_store.named["paper"] = replace(PAPER, frozen=9.0)
    post.poll()
    assert post.poller.namespace("paper") == replace(PAPER, frozen=9.0)
    del post.parts.namespace_store.named["paper"]
    post.parts.namespace_store.lost.add("*")
    post.poll()
    assert post.poller.namespace("paper") is not None
    post.parts.namespace_store.lost.clear()
    post.poll()
    assert post.poller.namespace("paper") is None


def test_a_namespace_that_was_dropped_and_made_anew_takes_its_old_answers_with_it() -> None:
    post = Post()
    post.parts.namespace_store.named["paper"] = PAPER
    post.poll()
    post.keep()
    post.poll()
    assert post.keeps()
    post.parts.namespace_store.named["paper"] = replace(PAPER, created=2.0)
    post.poll()
    assert not post.keeps()


def test_a_purge_during_an_outage_is_seen_after_it() -> None:
    post = Post()
    post.poll()
    post.keep()
    post.parts.purge_store.lost.add("purge_state")
    post.poll()
    assert post.poller.purge_state() is None
    purge_state = post.purge()
    post.parts.purge_store.lost.clear()
    post.poll()
    assert (post.poller.purge_state(), post.keeps()) == (purge_state, False)


def test_the_watch_looks_twice_a_second_also_through_an_outage() -> None:
    post = Post()

    async def act(tasks: BackgroundTasks) -> None:
        watching = asyncio.ensure_future(post.poller.forever())
        await post.parts.clock.sleep(3 * INTERVAL_S + INTERVAL_S / 2)
        for part in (post.parts.purge_store, post.parts.directory, post.parts.namespace_store):
            part.lost.add("*")
        await post.parts.clock.sleep(2 * INTERVAL_S)
        post.parts.purge_store.lost.clear()
        await post.parts.clock.sleep(INTERVAL_S)
        assert post.poller.purge_state() == PurgeState(0)
        watching.cancel()

    post.parts.play(act)
    assert INTERVAL_S <= 0.5  # within a second whatever was purged is out of every memory
    assert post.parts.effects().count("purge_store.purge_state") == 7


@pytest.mark.parametrize("part, operation", [("directory", "epoch"), ("namespace_store", "namespaces")])
def test_a_store_that_does_not_answer_keeps_nobody_from_hearing_the_other(part: str, operation: str) -> None:
    post = Post()

    async def hangs() -> None:
        await asyncio.get_running_loop().create_future()

    setattr(getattr(post.parts, part), operation, hangs)

    async def act(tasks: BackgroundTasks) -> None:
        polling = asyncio.ensure_future(post.poller.poll())
        await post.parts.clock.sleep(0.1)
        assert post.poller.purge_state() == PurgeState(0)
        polling.cancel()

    post.parts.play(act)


def test_how_long_ago_it_asked_is_known_whatever_the_stores_say() -> None:
    post = Post()
    assert post.poller.polled_s_ago() == float("inf")
    post.poll()
    post.parts.clock.advance(3.0)
    assert post.poller.polled_s_ago() == 3.0
    for part in (post.parts.purge_store, post.parts.directory, post.parts.namespace_store):
        part.lost.add("*")
    post.poll()
    assert post.poller.polled_s_ago() == 0.0
