"""The line: who came first is tried first, nobody waits too long, and no line is left behind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.core.quota import Limit, Verdict
from gateway.flow.runtime import BackgroundTasks
from gateway.flow.wait_queue import WaitQueue
from gateway.flow.waiting_limit import WaitingLimit
from tests.flow.harness import Parts, turns

RATE = Limit("user-requests", "rate", "u:ada", 60, 60, 1)
UNITS = Limit("user-units", "units", "u:ada", 60, 86_400, 1)
ADMITTED = Verdict(None, 0.0, ())


class LazyGroup:
    """Opens for one at a time, at the times given; writes down who was tried, and who got in."""

    def __init__(self, parts: Parts, *opens: float, again_s: float = 0.1) -> None:
        self.parts, self.again_s = parts, again_s
        self.start = parts.clock.monotonic()
        self.opens = list(opens)
        self.tried: list[str] = []
        self.entered: list[tuple[str, float]] = []

    def seconds(self) -> float:
        return round(self.parts.clock.monotonic() - self.start, 3)

    def attempt(self, who: str) -> Callable[[], Awaitable[Verdict]]:
        async def once() -> Verdict:
            self.tried.append(who)
            await asyncio.sleep(0)  # a store is asked, and others go on
            if self.opens and self.opens[0] <= self.seconds():
                self.opens.pop(0)
                self.entered.append((who, self.seconds()))
                return ADMITTED
            return Verdict(RATE, self.again_s, ())

        return once

    def who_entered(self) -> list[str]:
        return [who for who, _ in self.entered]


def the_line(parts: Parts, tasks: BackgroundTasks, max_wait_s: float = 1.0, max_waiting: int = 10) -> WaitQueue:
    return WaitQueue(parts.runtime(tasks), max_wait_s, WaitingLimit(parts.meter, max_waiting, max_waiting))


def waits(parts: Parts, result: str) -> float:
    return parts.meter.counts[("esmgw_queue_waits_total", result)]


def nobody_waits(line: WaitQueue) -> bool:
    return not line._queues and len(line._limit) == 0


def test_an_open_door_costs_one_try_and_no_wait() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks), LazyGroup(parts, 0.0)
        assert await line.acquire("rate", "ada", door.attempt("a")) == ADMITTED
        assert (door.tried, parts.effects()) == (["a"], [])

    parts.play(act)
    assert waits(parts, "admitted") == waits(parts, "refused") == 0


def test_who_came_first_gets_in_first() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks), LazyGroup(parts, 0.1, 0.2, 0.3, 0.4)
        going = [asyncio.ensure_future(line.acquire("rate", "ada", door.attempt(who))) for who in "abcd"]
        verdicts = await asyncio.gather(*going)
        assert door.entered == [("a", 0.1), ("b", 0.2), ("c", 0.3), ("d", 0.4)]
        assert [round(verdict.waited_s, 3) for verdict in verdicts] == [0.1, 0.2, 0.3, 0.4]
        assert nobody_waits(line)

    parts.play(act)
    assert waits(parts, "admitted") == 4


def test_a_newcomer_does_not_even_try_while_others_stand_in_line() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks), LazyGroup(parts, 0.05, 0.2, again_s=0.1)
        first = asyncio.ensure_future(line.acquire("rate", "ada", door.attempt("first")))
        await parts.clock.sleep(0.06)  # the door is open now, and the first in line sleeps for another 0.04 s
        late = asyncio.ensure_future(line.acquire("rate", "ada", door.attempt("late")))
        await turns()
        assert "late" not in door.tried
        await asyncio.gather(first, late)
        assert door.who_entered() == ["first", "late"]

    parts.play(act)


def test_lines_of_two_users_do_not_hold_each_other_up() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, shut, open_door = the_line(parts, tasks), LazyGroup(parts), LazyGroup(parts, 0.0)
        ada = asyncio.ensure_future(line.acquire("rate", "ada", shut.attempt("ada")))
        await turns()
        assert await line.acquire("rate", "bob", open_door.attempt("bob")) == ADMITTED
        assert not (await ada).admitted

    parts.play(act)


def test_nobody_waits_longer_than_the_settings_say() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks, max_wait_s=0.5), LazyGroup(parts)
        going = [asyncio.ensure_future(line.acquire("rate", "ada", door.attempt(str(i)))) for i in range(5)]
        verdicts = await asyncio.gather(*going)
        assert not any(verdict.admitted for verdict in verdicts)
        assert all(verdict.waited_s <= 0.501 for verdict in verdicts)
        assert all(verdict.waited_s >= 0.4 for verdict in verdicts)
        assert nobody_waits(line)

    parts.play(act)
    assert waits(parts, "refused") == 5


def test_a_wait_that_would_be_too_long_is_not_begun() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks), LazyGroup(parts, again_s=1.5)
        assert await line.acquire("rate", "ada", door.attempt("a")) == Verdict(RATE, 1.5, ())
        assert (door.tried, door.seconds()) == (["a"], 0.0)

    parts.play(act)


@pytest.mark.parametrize("most", [0, 1, 3])
def test_no_more_wait_than_the_settings_say_and_they_are_those_who_came_first(most: int) -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks, max_waiting=most), LazyGroup(parts, 0.1, 0.2, 0.3)
        going = [asyncio.ensure_future(line.acquire("rate", "ada", door.attempt(str(i)))) for i in range(most + 2)]
        verdicts = await asyncio.gather(*going)
        assert [verdict.admitted for verdict in verdicts] == [True] * most + [False] * 2
        assert [verdict.waited_s for verdict in verdicts[most:]] == [0.0, 0.0]
        assert nobody_waits(line)

    parts.play(act)


def test_where_the_line_is_full_one_try_is_made_and_its_refusal_passed_on() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks, max_waiting=1), LazyGroup(parts, 0.5)
        first = asyncio.ensure_future(line.acquire("rate", "ada", door.attempt("first")))
        await turns()
        refused = await line.acquire("rate", "ada", door.attempt("late"))
        assert (refused.admitted, refused.waited_s, door.tried.count("late")) == (False, 0.0, 1)
        assert (await first).admitted

    parts.play(act)


def test_a_refusal_that_time_does_not_mend_never_waits() -> None:
    parts = Parts()
    spent = Verdict(UNITS, 0.01, ())

    async def act(tasks: BackgroundTasks) -> None:
        async def attempt() -> Verdict:
            return spent

        line = the_line(parts, tasks)
        verdict = await line.acquire("rate", "ada", attempt, waits_for=lambda verdict: verdict.refused_by != UNITS)
        assert verdict == spent

    parts.play(act)
    assert parts.effects() == []


@pytest.mark.parametrize("who_leaves", [0, 1, 2])
def test_one_who_goes_away_lets_the_next_through_and_leaves_no_line_behind(who_leaves: int) -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks), LazyGroup(parts, 0.3, 0.4)
        going = [asyncio.ensure_future(line.acquire("rate", "ada", door.attempt(who))) for who in "abc"]
        await turns()
        going[who_leaves].cancel()
        await asyncio.gather(*going, return_exceptions=True)
        assert going[who_leaves].cancelled()
        assert door.who_entered() == [who for i, who in enumerate("abc") if i != who_leaves]
        assert nobody_waits(line)

    parts.play(act)


def test_a_try_that_fails_is_its_caller_s_alone() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks), LazyGroup(parts, 0.2)
        tries = 0

        async def failing() -> Verdict:
            nonlocal tries
            tries += 1
            if tries > 1:
                raise ValueError
            return Verdict(RATE, 0.1, ())

        one = asyncio.ensure_future(line.acquire("rate", "ada", failing))
        await turns()
        two = asyncio.ensure_future(line.acquire("rate", "ada", door.attempt("two")))
        outcomes = await asyncio.gather(one, two, return_exceptions=True)
        assert isinstance(outcomes[0], ValueError)
        assert door.who_entered() == ["two"]
        assert nobody_waits(line)

    parts.play(act)


def test_a_first_in_line_whose_store_hangs_does_not_hold_the_others_beyond_their_time() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        line, door = the_line(parts, tasks, max_wait_s=1.0), LazyGroup(parts, 0.5)
        tries = 0

        async def hanging() -> Verdict:
            nonlocal tries
            tries += 1
            await parts.clock.sleep(0.0 if tries == 1 else 30.0)
            return Verdict(RATE, 0.1, ())

        first = asyncio.ensure_future(line.acquire("rate", "ada", hanging))
        await turns()
        verdict = await line.acquire("rate", "ada", door.attempt("second"))
        assert (verdict.admitted, round(verdict.waited_s, 2)) == (True, 1.0)
        assert not (await first).admitted
        assert nobody_waits(line)

    parts.play(act)
