"""What a worker hears: entries that changed, purges of one entry, states of purges that are not to be believed."""

import asyncio

import pytest

from gateway.core.purge_state import Purge, PurgeState
from gateway.flow.invalidation_poller import INTERVAL_S
from gateway.flow.runtime import BackgroundTasks
from tests.fakes.cache import CHANGES
from tests.flow.test_invalidation_poller import Post


def changed(post: Post, *cache_keys: str) -> None:
    post.parts.cache.changed.extend(cache_keys)


def test_an_entry_that_another_worker_replaced_is_forgotten_and_no_other_is() -> None:
    post = Post()
    post.poll()
    post.keep()
    changed(post, "b", "c")
    post.poll()
    assert post.keeps()
    changed(post, "b", "a")
    post.poll()
    assert not post.keeps()
    post.keep()
    post.poll()
    assert post.keeps()  # each change counts once


def test_fifty_changes_a_second_leave_another_s_answer_in_memory() -> None:
    post = Post()
    post.poll()
    post.keep()
    for second in range(60):
        changed(post, *(f"{second} {number}" for number in range(25)))
        post.poll()
    assert post.keeps()


def test_changes_that_may_have_been_missed_mean_that_everything_is_forgotten() -> None:
    post = Post()
    post.poll()
    post.keep()
    changed(post, *(f"other {number}" for number in range(CHANGES)))
    post.poll()
    assert not post.keeps()
    post.keep()
    post.parts.cache.changed.clear()  # the store lost them
    changed(post, "b")
    post.poll()
    assert not post.keeps()


def test_a_change_during_an_outage_of_the_store_is_heard_after_it() -> None:
    post = Post()
    post.poll()
    post.keep()
    post.parts.cache.lost.add("changes")
    changed(post, "a")
    post.poll()
    assert post.poller.purge_state() is None  # so nothing is answered from memory
    post.parts.cache.lost.clear()
    post.poll()
    assert (post.poller.purge_state() is not None, post.keeps()) == (True, False)


def test_a_purge_of_one_entry_leaves_the_others_in_memory() -> None:
    post = Post()
    post.poll()
    post.keep()
    post.purge(Purge(key="b"))
    post.poll()
    assert post.keeps()
    post.purge(Purge(key="a"))
    post.poll()
    assert not post.keeps()
    post.keep()
    post.parts.clock.advance(1.0)
    post.purge(Purge(key="a"))
    post.poll()
    assert not post.keeps()


@pytest.mark.parametrize("running", [False, True])
def test_a_state_of_purges_that_was_put_back_is_not_followed(running: bool) -> None:
    post = Post()
    old = post.parts.purge_store.standing
    if running:
        post.poll()
    purged = post.purge()
    if running:
        post.poll()
    post.parts.purge_store.standing = old
    post.poll()
    state = post.poller.purge_state()
    assert state is not None
    assert state.serial >= purged.serial
    assert state.epoch not in (old.epoch, purged.epoch)  # everything is purged once more


def test_a_purge_whose_mark_did_not_get_into_the_state_store_is_followed_and_its_mark_is_made_up_for() -> None:
    post = Post()
    post.poll()
    post.parts.purge_store.standing = PurgeState(7, 7)
    post.poll()
    post.poll()
    assert (post.poller.purge_state(), post.parts.purge_store.mark) == (PurgeState(7, 7), 7)


def test_without_the_state_store_the_known_state_of_purges_holds_for_a_minute() -> None:
    post = Post()
    post.poll()
    post.parts.purge_store.lost.add("high_water")
    for _ in range(60):
        post.parts.clock.advance(1.0)
        post.poll()
    assert post.poller.purge_state() is not None
    post.parts.clock.advance(0.1)
    post.poll()
    assert post.poller.purge_state() is None
    post.parts.purge_store.lost.clear()
    post.poll()
    assert post.poller.purge_state() is not None


def test_a_worker_that_never_heard_of_the_high_water_mark_believes_no_state() -> None:
    post = Post()
    post.parts.purge_store.lost.add("high_water")
    post.poll()
    assert post.poller.purge_state() is None


def test_a_purge_of_a_namespace_empties_the_memory() -> None:
    post = Post()
    post.poll()
    post.keep()
    asyncio.run(post.parts.namespace_store.touch())
    post.poll()
    assert not post.keeps()


def test_a_state_store_that_hangs_keeps_nobody_from_hearing_of_a_purge_in_time() -> None:
    post = Post()

    async def hangs() -> int:
        await post.parts.clock.sleep(5.0)
        return 0

    async def act(tasks: BackgroundTasks) -> None:
        watching = asyncio.ensure_future(post.poller.forever())
        await post.parts.clock.sleep(0.1)
        post.keep()
        post.parts.directory.epoch = hangs  # type: ignore[method-assign]
        await post.parts.clock.sleep(1.0)
        changed(post, "a")
        await post.parts.clock.sleep(INTERVAL_S + 0.01)
        assert not post.keeps()
        watching.cancel()

    post.parts.play(act)


def test_a_mark_that_comes_before_the_state_makes_it_ask_again() -> None:
    """The two stores are asked at once, in a worker that has just started."""
    post = Post()
    old, ask = post.parts.purge_store.standing, post.parts.purge_store.purge_state
    purged = post.purge()
    post.parts.purge_store.standing = old

    async def slow(at_least: int = 0) -> PurgeState:
        state = await ask(at_least)
        await post.parts.clock.sleep(0.1)
        return state

    post.parts.purge_store.purge_state = slow  # type: ignore[method-assign]
    post.poll()
    state = post.poller.purge_state()
    assert state is not None
    assert state.serial > purged.serial
