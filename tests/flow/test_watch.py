"""The look that is taken twice a second: what memory must forget, and when the cache has no part in any call."""

import asyncio
from dataclasses import replace

import pytest

from gateway.adapters.tasks import AsyncTasks
from gateway.core.marks import Marks, Purge
from gateway.core.nouns import Namespace
from gateway.flow.keyring import Keyring
from gateway.flow.memory import Memory
from gateway.flow.watch import EVERY_S, GOOD_FOR_S, Watch
from tests.flow.house import Parts, a_call, an_answer

EVERYTHING = Purge()
PAPER = Namespace("paper", 1.0)


class Post:
    """A watch over a keyring and a memory that count how often they were told to forget."""

    def __init__(self) -> None:
        self.parts = p = Parts()
        self.memory = Memory(p.meter, 2**20, 2**20)
        self.keyring = Keyring(p.directory, p.clock, p.meter, b"p" * 32)
        self.watch = Watch(p.directory, p.purges, p.archive, self.keyring, self.memory, p.clock, p.meter)

    def keep(self) -> None:
        self.memory.keep_answer("a", a_call(), an_answer(), 4e9)

    def keeps(self) -> bool:
        return self.memory.answer("a", a_call()) is not None

    def purge(self, what: Purge = EVERYTHING) -> Marks:
        return asyncio.run(self.parts.purges.purge(what))

    def look(self) -> None:
        async def act(tasks: AsyncTasks) -> None:
            await self.watch.look()

        self.parts.play(act)


def test_before_the_first_look_the_cache_has_no_part_in_any_call() -> None:
    assert Post().watch.marks() is None


def test_a_look_at_what_has_not_changed_forgets_nothing() -> None:
    post = Post()
    post.look()
    generation = post.keyring._generation
    post.keep()
    post.look()
    assert (post.watch.marks(), post.keeps(), post.keyring._generation) == (Marks(0), True, generation)


@pytest.mark.parametrize(
    "what",
    [EVERYTHING, Purge("esm3"), Purge(soft=True), Purge("esm3", soft=True), Purge(older_than_s=3600.0), None],
)
def test_every_kind_of_purge_empties_the_memory(what: Purge | None) -> None:
    post = Post()
    post.look()
    post.keep()
    marks = asyncio.run(post.parts.purges.touch()) if what is None else post.purge(what)
    assert post.keeps()
    post.look()
    assert (post.watch.marks(), post.keeps()) == (marks, False)
    assert post.parts.meter.gauges[("esmgw_memory_bytes", "answers")] == 0


def test_a_change_of_any_key_makes_the_keyring_forget_and_leaves_the_answers() -> None:
    post = Post()
    post.look()
    post.keep()
    generation = post.keyring._generation
    post.parts.directory.changes += 1
    post.look()
    assert (post.keyring._generation, post.keeps()) == (generation + 1, True)


def test_two_seconds_without_the_store_s_word_and_the_marks_are_unknown() -> None:
    post = Post()
    post.look()
    post.parts.clock.advance(GOOD_FOR_S)
    assert post.watch.marks() == Marks(0)
    post.parts.clock.advance(0.01)
    assert post.watch.marks() is None
    post.look()
    assert post.watch.marks() == Marks(0)


def test_the_marks_are_as_old_as_the_question_not_as_the_answer() -> None:
    post = Post()
    marks = post.parts.purges.marks

    async def slow() -> Marks:
        value = await marks()
        await post.parts.clock.sleep(1.5)
        return value

    post.parts.purges.marks = slow  # type: ignore[method-assign]
    post.look()
    assert post.watch.marks() == Marks(0)
    post.parts.clock.advance(0.6)
    assert post.watch.marks() is None


@pytest.mark.parametrize(
    "part, operation, counted, seen",
    [
        ("purges", "marks", ("cache", "marks"), {"keys", "namespaces"}),
        ("directory", "epoch", ("state", "epoch"), {"marks"}),
        ("archive", "namespaces", ("state", "epoch"), {"marks", "keys"}),
    ],
)
def test_a_lost_store_is_counted_and_hides_nothing_else(
    part: str, operation: str, counted: tuple[str, str], seen: set[str]
) -> None:
    post = Post()
    post.look()
    generation = post.keyring._generation
    post.purge()
    post.parts.directory.changes += 1
    post.parts.archive.named["paper"] = PAPER
    getattr(post.parts, part).lost.add(operation)
    post.look()
    assert post.parts.meter.counts[("esmgw_store_errors_total", *counted)] == 1
    assert post.watch.marks() == (Marks(1, 1) if "marks" in seen else None)
    assert post.keyring._generation - generation == ("keys" in seen)
    assert (post.watch.namespace("paper") is not None) == ("namespaces" in seen)


def test_a_namespace_is_known_from_the_next_look_on_as_it_is_then() -> None:
    post = Post()
    post.look()
    post.parts.archive.named["paper"] = PAPER
    assert post.watch.namespace("paper") is None
    post.look()
    assert post.watch.namespace("paper") == PAPER
    post.parts.archive.named["paper"] = replace(PAPER, frozen=9.0)
    post.look()
    assert post.watch.namespace("paper") == replace(PAPER, frozen=9.0)
    del post.parts.archive.named["paper"]
    post.parts.archive.lost.add("*")
    post.look()
    assert post.watch.namespace("paper") is not None
    post.parts.archive.lost.clear()
    post.look()
    assert post.watch.namespace("paper") is None


def test_a_namespace_that_was_dropped_and_made_anew_takes_its_old_answers_with_it() -> None:
    post = Post()
    post.parts.archive.named["paper"] = PAPER
    post.look()
    post.keep()
    post.look()
    assert post.keeps()
    post.parts.archive.named["paper"] = replace(PAPER, created=2.0)
    post.look()
    assert not post.keeps()


def test_a_purge_during_an_outage_is_seen_after_it() -> None:
    post = Post()
    post.look()
    post.keep()
    post.parts.purges.lost.add("marks")
    post.look()
    assert post.watch.marks() is None
    marks = post.purge()
    post.parts.purges.lost.clear()
    post.look()
    assert (post.watch.marks(), post.keeps()) == (marks, False)


def test_the_watch_looks_twice_a_second_also_through_an_outage() -> None:
    post = Post()

    async def act(tasks: AsyncTasks) -> None:
        watching = asyncio.ensure_future(post.watch.forever())
        await post.parts.clock.sleep(3 * EVERY_S + EVERY_S / 2)
        for part in (post.parts.purges, post.parts.directory, post.parts.archive):
            part.lost.add("*")
        await post.parts.clock.sleep(2 * EVERY_S)
        post.parts.purges.lost.clear()
        await post.parts.clock.sleep(EVERY_S)
        assert post.watch.marks() == Marks(0)
        watching.cancel()

    post.parts.play(act)
    assert EVERY_S <= 0.5  # within a second whatever was purged is out of every memory
    assert post.parts.effects().count("purges.marks") == 7
