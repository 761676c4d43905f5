"""Work side by side: it outlives its caller, its errors are not lost, and a stop waits for it."""

import asyncio

import pytest

from gateway.adapters.clock import SystemClock
from gateway.core.metrics import LOOP_FAILURES
from gateway.flow.runtime import LOOP_PAUSE_S, BackgroundLoops, BackgroundTasks
from tests.fakes.world import FakeClock, FakeWorld
from tests.flow.harness import Parts, background_tasks


async def number(value: int, *, after: int = 0) -> int:
    for _ in range(after):
        await asyncio.sleep(0)
    return value


async def broken() -> int:
    raise ValueError("a sequence that must not be in a log")


def test_work_goes_on_when_its_caller_has_gone() -> None:
    async def story() -> None:
        tasks, go, done = background_tasks(), asyncio.Event(), asyncio.Event()

        async def work() -> None:
            await go.wait()
            done.set()

        async def caller() -> None:
            await tasks.run(work())

        gone = asyncio.create_task(caller())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert not done.is_set()
        go.set()
        assert await tasks.drain(5.0) == 0
        assert done.is_set()
        assert len(tasks) == 0

    asyncio.run(story())


def test_a_stop_waits_for_work_that_started_more_work_and_cancels_what_never_ends() -> None:
    async def story() -> None:
        tasks, order = background_tasks(), list[str]()

        async def first() -> None:
            await asyncio.sleep(0)
            tasks.start(second())
            order.append("first")

        async def second() -> None:
            await asyncio.sleep(0)
            order.append("second")

        tasks.start(first())
        assert await tasks.drain(5.0) == 0
        assert order == ["first", "second"]
        tasks.start(asyncio.sleep(3600))
        assert await tasks.drain(0.01) == 1
        assert len(tasks) == 0

    asyncio.run(story())


def test_an_error_that_nobody_awaits_is_reported_without_its_text() -> None:
    reported = list[str]()

    async def story() -> None:
        tasks = BackgroundTasks(reported.append)
        tasks.start(broken())
        await tasks.drain(5.0)
        with pytest.raises(ValueError, match="sequence"):
            await tasks.run(broken())

    asyncio.run(story())
    assert reported == ["background work failed: ValueError"]


def test_the_clocks_tell_time_and_chance() -> None:
    async def story() -> None:
        clock = SystemClock()
        assert abs(clock.now() - SystemClock().now()) < 5
        before = clock.monotonic()
        await clock.sleep(0.002)
        assert clock.monotonic() - before >= 0.002
        assert len({clock.token(12) for _ in range(50)}) == 50
        assert len(clock.token(33)) == 33

    asyncio.run(story())


def test_the_clock_of_tests_moves_when_told_and_wakes_sleepers_in_order() -> None:
    async def story() -> None:
        memory = FakeWorld()
        start = memory.clock.now()
        await memory.clock.sleep(30)
        assert memory.clock.now() == start + 30
        assert memory.effects() == ["clock.sleep"]
        clock, woken = FakeClock([], automatic=False), list[int]()

        async def sleeper(seconds: int) -> None:
            await clock.sleep(seconds)
            woken.append(seconds)

        sleepers = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2)]
        await asyncio.sleep(0)
        clock.advance(2.5)
        await asyncio.sleep(0)
        assert woken == [1, 2]
        clock.advance(1)
        await asyncio.gather(*sleepers)
        assert woken == [1, 2, 3]
        assert len({clock.token(40) for _ in range(9)}) == 9

    asyncio.run(story())


class Failing:
    """A loop that does a round every ten seconds, and fails in the rounds that it is told."""

    def __init__(self, parts: Parts, failures: dict[int, BaseException | None]) -> None:
        self.parts, self.failures, self.rounds = parts, failures, 0

    async def forever(self) -> None:
        while True:
            self.rounds += 1
            if self.rounds in self.failures:
                failure = self.failures[self.rounds]
                if failure is None:
                    return
                raise failure
            await self.parts.clock.sleep(10.0)


SECRET = "MKTAYIAKQR"


@pytest.mark.parametrize(
    "failure, told",
    [
        (ValueError(f"could not convert string to float: {SECRET!r}"), "ValueError"),
        (KeyError(SECRET), "KeyError"),
        (MemoryError(), "MemoryError"),
        (ExceptionGroup(SECRET, [TypeError(SECRET)]), "ExceptionGroup"),
        (asyncio.CancelledError(SECRET), "CancelledError"),
        (None, "it ended"),
    ],
)
def test_a_loop_that_fails_is_named_counted_and_started_again(failure: BaseException | None, told: str) -> None:
    parts, said = Parts(), list[str]()
    loop, other = Failing(parts, {2: failure, 4: failure}), Failing(parts, {})

    async def act(tasks: BackgroundTasks) -> None:
        loops = BackgroundLoops(parts.runtime(), said.append)
        loops.keep("poller", loop.forever)
        loops.keep("stats", other.forever)
        await parts.clock.sleep(45.0)
        await loops.stop()

    parts.play(act)
    # Ten seconds of work, a failure, a second of pause, twice; then on as before.
    assert (loop.rounds, other.rounds) == (7, 5)
    assert parts.meter.counts[(LOOP_FAILURES.name, "poller")] == 2
    assert parts.meter.counts[(LOOP_FAILURES.name, "stats")] == 0
    assert said == [f"the background loop poller failed and is started again: {told}"] * 2
    assert LOOP_PAUSE_S <= 1.0  # a worker that misses polls for two seconds bypasses the cache


def test_a_stop_ends_every_loop_also_one_that_is_pausing() -> None:
    parts, said = Parts(), list[str]()
    ended: list[str] = []

    async def works() -> None:
        try:
            await parts.clock.sleep(1e6)
        finally:
            ended.append("works")

    async def fails() -> None:
        raise ValueError

    async def act(tasks: BackgroundTasks) -> None:
        loops = BackgroundLoops(parts.runtime(), said.append)
        loops.keep("poller", works)
        loops.keep("stats", fails)
        await parts.clock.sleep(0.5)
        await loops.stop()
        await parts.clock.sleep(30.0)

    parts.play(act)
    assert (ended, len(said)) == (["works"], 1)


def test_a_loop_that_never_failed_has_a_count_of_none() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        loops = BackgroundLoops(parts.runtime(), print)
        loops.keep("poller", Failing(parts, {}).forever)
        await loops.stop()

    parts.play(act)
    assert (LOOP_FAILURES.name, "poller") in parts.meter.counts
