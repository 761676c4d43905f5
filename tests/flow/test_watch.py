"""The look that is taken every second: what memory must forget, and when the cache has no part in any call."""

import asyncio

import pytest

from gateway.adapters.tasks import AsyncTasks
from gateway.flow.keyring import Keyring
from gateway.flow.memory import Memory
from gateway.flow.watch import EVERY_S, GOOD_FOR_S, Watch
from tests.flow.house import Parts, an_answer


class Post:
    """A watch over a keyring and a memory that count how often they were told to forget."""

    def __init__(self) -> None:
        self.parts = p = Parts()
        self.memory = Memory(p.meter, 2**20, 2**20)
        self.keyring = Keyring(p.directory, p.clock, p.meter, b"p" * 32)
        self.watch = Watch(p.directory, p.cache, self.keyring, self.memory, p.clock, p.meter)

    def keep(self) -> None:
        self.memory.keep_answer("a", an_answer(), 4e9)

    def keeps(self) -> bool:
        return self.memory.answer("a", self.parts.clock.now()) is not None

    def look(self) -> None:
        async def act(tasks: AsyncTasks) -> None:
            await self.watch.look()

        self.parts.play(act)


def test_before_the_first_look_the_cache_has_no_part_in_any_call() -> None:
    assert Post().watch.cache_epoch() is None


def test_a_look_at_what_has_not_changed_forgets_nothing() -> None:
    post = Post()
    post.look()
    generation = post.keyring._generation
    post.keep()
    post.look()
    assert (post.watch.cache_epoch(), post.keeps(), post.keyring._generation) == (0, True, generation)


def test_a_purge_empties_the_memory_of_answers() -> None:
    post = Post()
    post.look()
    post.keep()
    post.parts.cache.purges = 7
    assert post.keeps()
    post.look()
    assert (post.watch.cache_epoch(), post.keeps()) == (7, False)
    assert post.parts.meter.gauges[("esmgw_memory_bytes", "answers")] == 0


def test_a_change_of_any_key_makes_the_keyring_forget_and_leaves_the_answers() -> None:
    post = Post()
    post.look()
    post.keep()
    generation = post.keyring._generation
    post.parts.directory.changes += 1
    post.look()
    assert (post.keyring._generation, post.keeps()) == (generation + 1, True)


def test_two_seconds_without_the_store_s_word_and_the_epoch_is_unknown() -> None:
    post = Post()
    post.look()
    post.parts.clock.advance(GOOD_FOR_S)
    assert post.watch.cache_epoch() == 0
    post.parts.clock.advance(0.01)
    assert post.watch.cache_epoch() is None
    post.look()
    assert post.watch.cache_epoch() == 0


def test_the_epoch_is_as_old_as_the_question_not_as_the_answer() -> None:
    post = Post()
    epoch = post.parts.cache.epoch

    async def slow() -> int:
        value = await epoch()
        await post.parts.clock.sleep(1.5)
        return value

    post.parts.cache.epoch = slow  # type: ignore[method-assign]
    post.look()
    assert post.watch.cache_epoch() == 0
    post.parts.clock.advance(0.6)
    assert post.watch.cache_epoch() is None


@pytest.mark.parametrize("store, counted", [("cache", "cache"), ("directory", "state")])
def test_a_lost_store_is_counted_and_does_not_hide_the_other(store: str, counted: str) -> None:
    post = Post()
    post.look()
    generation = post.keyring._generation
    post.parts.cache.purges += 1
    post.parts.directory.changes += 1
    getattr(post.parts, store).lost.add("epoch")
    post.look()
    assert post.parts.meter.counts[("esmgw_store_errors_total", counted, "epoch")] == 1
    assert post.watch.cache_epoch() == (None if store == "cache" else 1)
    assert post.keyring._generation - generation == (1 if store == "cache" else 0)


def test_a_purge_during_an_outage_is_seen_after_it() -> None:
    post = Post()
    post.look()
    post.keep()
    post.parts.cache.lost.add("epoch")
    post.look()
    assert post.watch.cache_epoch() is None
    post.parts.cache.purges += 1
    post.parts.cache.lost.clear()
    post.look()
    assert (post.watch.cache_epoch(), post.keeps()) == (1, False)


def test_the_watch_looks_every_second_also_through_an_outage() -> None:
    post = Post()

    async def act(tasks: AsyncTasks) -> None:
        watching = asyncio.ensure_future(post.watch.forever())
        await post.parts.clock.sleep(3 * EVERY_S + 0.5)
        post.parts.cache.lost.add("*")
        post.parts.directory.lost.add("*")
        await post.parts.clock.sleep(2 * EVERY_S)
        post.parts.cache.lost.clear()
        await post.parts.clock.sleep(EVERY_S)
        assert post.watch.cache_epoch() == 0
        watching.cancel()

    post.parts.play(act)
    assert post.parts.effects().count("cache.epoch") == 7
