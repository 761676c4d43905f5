"""The budget of bodies in flight: whose turn it is, what it never exceeds, and that nothing of it is lost."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.problems import Problem
from gateway.flow.body_budget import SHOWN_STEP, BodyBudget
from tests.fakes.world import FakeMeter
from tests.flow.harness import turns

BYTES, WAITING = ("esmgw_request_body_bytes",), ("esmgw_request_bodies_waiting",)


class Readers:
    """Callers that read a body each and hold it until told to let go."""

    def __init__(self, worker: int, user: int, max_waiting: int = 100) -> None:
        self.meter = FakeMeter()
        self.budget = BodyBudget(worker, user, max_waiting, self.meter)
        self.reading: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.letting_go: dict[str, asyncio.Event] = {}

    async def come(self, name: str, size: int) -> None:
        """`name` is the user's letter and a number."""
        self.letting_go[name] = asyncio.Event()
        self.tasks[name] = asyncio.ensure_future(self._read(name, size))
        await turns()

    async def _read(self, name: str, size: int) -> None:
        with self.budget.reservation(name[0]) as room:
            if not room.try_take(size):
                await room.take(size)
            self.reading.append(name)
            try:
                await self.letting_go[name].wait()
            finally:
                self.reading.remove(name)

    async def end(self, name: str) -> None:
        self.letting_go[name].set()
        await turns()

    async def hang_up(self, name: str) -> None:
        self.tasks[name].cancel()
        await turns()

    def is_empty(self) -> bool:
        budget = self.budget
        return not (budget._reserved or budget._by_user or budget._queues or budget._ready or budget._waiting)


def run(act: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(act())  # type: ignore[arg-type]


def test_a_user_over_the_budget_waits_and_others_do_not() -> None:
    async def act() -> None:
        readers = Readers(worker=1000, user=100)
        for name in ("a1", "a2", "a3"):
            await readers.come(name, 50)
        await readers.come("b1", 100)
        assert readers.reading == ["a1", "a2", "b1"]
        assert readers.meter.gauges[WAITING] == 1
        await readers.come("a4", 1)
        assert "a4" not in readers.reading  # first come, first served
        await readers.end("a2")
        assert readers.reading == ["a1", "b1", "a3"]
        await readers.end("a1")
        assert readers.reading == ["b1", "a3", "a4"]
        for name in ("b1", "a3", "a4"):
            await readers.end(name)
        assert readers.is_empty()
        assert readers.meter.gauges[WAITING] == 0

    run(act)


def test_a_small_body_does_not_pass_a_large_one_of_the_same_user() -> None:
    async def act() -> None:
        readers = Readers(worker=1000, user=100)
        for name, size in (("a1", 60), ("a2", 80), ("a3", 10)):
            await readers.come(name, size)
        assert readers.reading == ["a1"]
        await readers.end("a1")
        assert readers.reading == ["a2", "a3"]

    run(act)


def test_room_for_several_is_given_to_several_at_once() -> None:
    async def act() -> None:
        readers = Readers(worker=200, user=100)
        await readers.come("a1", 100)
        for name in ("a2", "a3", "a4"):
            await readers.come(name, 40)
        await readers.end("a1")
        assert readers.reading == ["a2", "a3"]

    run(act)


def test_where_the_worker_is_full_the_users_take_turns() -> None:
    async def act() -> None:
        readers = Readers(worker=100, user=100)
        await readers.come("a0", 100)
        for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
            await readers.come(name, 100)
        order = []
        for _ in range(6):
            await readers.end(readers.reading[0])
            order += readers.reading
        assert order == ["b1", "c1", "a1", "b2", "a2", "a3"]  # a had its turn before

    run(act)


@pytest.mark.parametrize("size", [101, 1000, 10**9])
def test_a_body_larger_than_the_budget_has_it_alone_and_is_not_passed_for_ever(size: int) -> None:
    async def act() -> None:
        readers = Readers(worker=100, user=100)
        await readers.come("a1", 10)
        await readers.come("b1", size)
        await readers.come("c1", 10)
        await readers.come("a2", 10)
        assert readers.reading == ["a1"]
        await readers.end("a1")
        assert readers.reading == ["b1"]
        await readers.end("b1")
        assert readers.reading == ["c1", "a2"]

    run(act)


def test_who_hangs_up_gives_way_and_leaves_nothing_behind() -> None:
    async def act() -> None:
        readers = Readers(worker=100, user=100)
        await readers.come("a1", 100)
        await readers.come("b1", 90)
        await readers.come("c1", 10)
        await readers.end("a1")
        await readers.hang_up("b1")
        assert readers.reading == ["c1"]
        await readers.come("a2", 95)
        await readers.come("b2", 5)
        await readers.hang_up("a2")
        assert readers.reading == ["c1", "b2"]
        for name in ("c1", "b2"):
            await readers.hang_up(name)
        assert readers.is_empty()

    run(act)


def test_who_hangs_up_in_the_moment_of_the_turn_passes_it_on() -> None:
    async def act() -> None:
        readers = Readers(worker=100, user=100)
        for name in ("a1", "b1", "c1", "d1"):
            await readers.come(name, 100)
        readers.letting_go["a1"].set()
        await asyncio.sleep(0)  # a1 has let go: b1 was granted and has not run yet
        readers.tasks["b1"].cancel()
        readers.tasks["c1"].cancel()
        await turns()
        assert readers.reading == ["d1"]
        await readers.end("d1")
        assert readers.is_empty()

    run(act)


def test_too_many_waiting_bodies_of_one_user_are_a_429_and_another_user_may_wait() -> None:
    async def act() -> None:
        readers = Readers(worker=100, user=100, max_waiting=3)
        for number in range(6):
            await readers.come(f"a{number}", 100)
        await readers.come("b1", 100)
        refused = [readers.tasks[name].exception() for name in ("a4", "a5")]
        assert [each.type.status for each in refused if isinstance(each, Problem)] == [429, 429]
        assert not any(readers.tasks[name].done() for name in ("a0", "a1", "a2", "a3", "b1"))
        for name in ("a0", "a1", "b1", "a2", "a3"):
            await readers.end(name)
        assert readers.is_empty()

    run(act)


def test_what_a_body_turned_out_not_to_need_is_free_at_once() -> None:
    async def act() -> None:
        readers = Readers(worker=100, user=100)
        with readers.budget.reservation("a") as room:
            await room.take(100)
            await readers.come("b1", 60)
            assert readers.reading == []
            room.keep(40)
            await turns()
            assert readers.reading == ["b1"]
            room.keep(70)
            assert readers.budget._reserved == 100
        await readers.end("b1")
        assert readers.is_empty()

    run(act)


def test_the_gauge_follows_in_steps_and_ends_at_nothing() -> None:
    meter = FakeMeter()
    budget = BodyBudget(2**30, 2**30, 10, meter)
    with budget.reservation("a") as small, budget.reservation("b") as large:
        assert small.try_take(10)
        assert meter.gauges.get(BYTES, 0) == 0
        assert large.try_take(5 * SHOWN_STEP)
        assert meter.gauges[BYTES] == 10 + 5 * SHOWN_STEP
    assert meter.gauges[BYTES] < SHOWN_STEP


STEP = st.tuples(
    st.sampled_from("abc"), st.integers(1, 120), st.sampled_from(["come", "come", "end", "hang_up", "rush"])
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_whatever_happens_the_budget_holds_everybody_is_read_and_nothing_is_lost(
    steps: list[tuple[str, int, str]],
) -> None:
    async def act() -> None:
        readers, sizes = Readers(worker=150, user=100), {}
        for number, (user, size, what) in enumerate(steps):
            there = [name for name, task in readers.tasks.items() if not task.done()]
            if what == "come":
                sizes[f"{user}{number}"] = size
                await readers.come(f"{user}{number}", size)
            elif what == "rush" and len(there) > 2:
                readers.letting_go[there[0]].set()
                await asyncio.sleep(0)
                readers.tasks[there[1]].cancel()
                readers.tasks[there[-1]].cancel()
                await turns()
            elif there:
                await (readers.end if what == "end" else readers.hang_up)(there[size % len(there)])
            held = {user: [sizes[name] for name in readers.reading if name[0] == user] for user in "abc"}
            assert all(sum(each) <= 100 or len(each) == 1 for each in held.values())
            assert sum(map(sum, held.values())) <= 150
        while readers.reading:
            await readers.end(readers.reading[0])
        assert all(task.done() for task in readers.tasks.values())
        assert readers.is_empty()

    run(act)
