"""Who is turned away, who is taken back and who is replaced, look by look: rules without processes."""

import asyncio
import socket

import pytest

from gateway.adapters.heartbeat import Patience
from gateway.adapters.standstill import StandstillWatch
from gateway.adapters.worker_slot import WorkerSlot
from tests.fakes.world import FakeMeter

P = Patience()


class Worker(WorkerSlot):
    """A slot whose process is only told of: `beats` is whether its next look hears it."""

    def __init__(self, number: int) -> None:
        super().__init__(number, socket.socket())
        self.listener.close()
        self.state = "serving"
        self.beats = True
        self.done: list[str] = []

    def listen_to_heartbeat(self, now: float) -> bool:
        if self.beats:
            self.heard = now
        return self.beats

    def turn_away(self) -> None:
        self.done.append("turned away")
        self.state = "turned_away"

    def take_back(self) -> None:
        self.done.append("taken back")
        self.state = "serving"

    def replace(self) -> None:
        assert not any(other.being_replaced for other in ALL)
        self.done.append("replaced")
        self.being_replaced = True

    def starts_again(self) -> None:
        """What the supervisor does with a slot whose process was killed."""
        self.state, self.being_replaced, self.beats = "serving", False, True


ALL: list[Worker] = []


class Watched:
    """Workers, the watch over them, and the time."""

    def __init__(self, count: int) -> None:
        ALL[:] = self.workers = [Worker(number) for number in range(count)]
        self.said: list[str] = []
        self.meter = FakeMeter()
        self.watch = StandstillWatch(self.workers, P, self.said.append, self.meter)
        self.now = 1000.0
        self.look()

    def look(self, seconds: float = 0.0) -> None:
        """Every look within these seconds, or one."""
        for _ in range(max(1, round(seconds / P.look_s))):
            self.now += P.look_s
            self.watch.look(self.now)

    def gauge(self, state: str) -> float:
        return self.meter.gauges[("esmgw_workers", state)]


def test_who_beats_is_left_in_peace() -> None:
    w = Watched(3)
    w.look(600)
    assert [worker.done for worker in w.workers] == [[], [], []]
    assert (w.said, w.gauge("running"), w.gauge("stalled")) == ([], 3, 0)


def test_a_silent_worker_is_turned_away_after_two_seconds_and_replaced_at_about_four() -> None:
    w = Watched(2)
    silent, other = w.workers
    silent.beats = False
    w.look(P.turned_away_s - P.look_s)
    assert (silent.done, w.gauge("stalled")) == ([], 0)
    w.look()
    assert (silent.done, w.gauge("stalled"), w.gauge("running")) == (["turned away"], 1, 1)
    w.look(P.replaced_s - P.turned_away_s - P.look_s)
    assert silent.done == ["turned away"]
    w.look()
    assert (silent.done, other.done) == (["turned away", "replaced"], [])
    assert P.replaced_s + P.look_s <= 4.5
    w.look(60)
    assert silent.done == ["turned away", "replaced"]


@pytest.mark.parametrize("silent_s", [2.0, 2.5, 3.0])
def test_who_beats_again_in_time_gets_new_connections_again(silent_s: float) -> None:
    w = Watched(2)
    silent, _ = w.workers
    silent.beats = False
    w.look(silent_s)
    silent.beats = True
    w.look(30)
    assert silent.done == ["turned away", "taken back"]
    assert w.said[-1] == "worker 0 goes on; it gets new connections again"


def test_a_pause_shorter_than_two_seconds_is_nobody_s_business() -> None:
    w = Watched(2)
    for _ in range(20):
        w.workers[0].beats = False
        w.look(P.turned_away_s - P.look_s)
        w.workers[0].beats = True
        w.look()
    assert (w.workers[0].done, w.said) == ([], [])


def test_a_single_worker_is_never_killed_for_standing_still_and_it_is_said_once_each_time() -> None:
    w = Watched(1)
    (only,) = w.workers
    only.beats = False
    w.look(600)
    assert (only.done, len(w.said), w.gauge("stalled")) == ([], 1, 1)
    assert "worker 0 stands still" in w.said[0]
    only.beats = True
    w.look()
    only.beats = False
    w.look(600)
    assert (only.done, len(w.said)) == ([], 2)


@pytest.mark.parametrize("state", ["down", "starting"])
def test_the_last_one_that_serves_is_left_alone(state: str) -> None:
    w = Watched(2)
    silent, other = w.workers
    other.state = "down" if state == "down" else "starting"
    silent.beats = other.beats = False
    w.look(600)
    assert silent.done == []


def test_who_is_turned_away_is_not_replaced_while_no_other_serves() -> None:
    w = Watched(2)
    silent, other = w.workers
    silent.beats = False
    w.look(P.turned_away_s)
    other.state = "down"
    w.look(60)
    assert silent.done == ["turned away"]
    other.starts_again()
    w.look()
    assert silent.done == ["turned away", "replaced"]


def test_two_that_hang_one_after_the_other_are_replaced_one_at_a_time() -> None:
    w = Watched(2)
    first, second = w.workers
    first.beats = False
    w.look(P.apart_s)
    second.beats = False
    w.look(P.replaced_s)
    assert (first.done, second.done) == (["turned away", "replaced"], [])
    first.state = "starting"
    w.look(60)
    assert second.done == []
    first.starts_again()
    w.look()
    assert second.done == ["turned away"]
    w.look()
    assert (first.done, second.done) == (["turned away", "replaced"], ["turned away", "replaced"])


def test_of_three_that_two_stand_still_one_waits_for_the_other_s_successor() -> None:
    w = Watched(3)
    first, second, third = w.workers
    first.beats = second.beats = False
    w.look(60)
    assert sorted([first.done, second.done]) == [["turned away"], ["turned away", "replaced"]]
    killed, waiting = (first, second) if first.being_replaced else (second, first)
    killed.starts_again()
    w.look()
    assert waiting.done == ["turned away", "replaced"]
    assert third.done == []


def test_a_failed_start_does_not_keep_the_next_one_waiting() -> None:
    w = Watched(3)
    first, second, _ = w.workers
    first.beats = second.beats = False
    w.look(60)
    killed, waiting = (first, second) if first.being_replaced else (second, first)
    killed.state, killed.being_replaced = "down", False
    w.look()
    assert waiting.done == ["turned away", "replaced"]


def test_all_that_fall_silent_together_are_left_alone_for_half_a_minute_and_then_replaced_one_by_one() -> None:
    w = Watched(2)
    for worker in w.workers:
        worker.beats = False
    w.look(P.all_silent_s - P.look_s)
    assert ([worker.done for worker in w.workers], len(w.said)) == ([[], []], 2)
    w.look(1.0)
    assert sorted(worker.done for worker in w.workers) == [[], ["turned away", "replaced"]]


def test_a_supervisor_that_stood_still_itself_gives_everybody_a_new_chance() -> None:
    w = Watched(2)
    first, second = w.workers
    first.beats = False
    w.look(P.apart_s)
    second.beats = False
    w.look(0.5)
    for _ in range(3):
        w.now += 60
        w.look()
    assert (first.done, second.done, w.said) == ([], [], [])
    w.look(P.turned_away_s - P.look_s)
    assert (first.done, second.done) == ([], [])


def test_who_was_turned_away_before_the_supervisor_stood_still_has_a_new_chance_too() -> None:
    w = Watched(2)
    silent, _ = w.workers
    silent.beats = False
    w.look(P.turned_away_s)
    w.now += 60
    w.look(P.replaced_s - P.look_s)
    assert silent.done == ["turned away"]
    silent.beats = True
    w.look()
    assert silent.done == ["turned away", "taken back"]


def test_who_is_starting_is_not_judged() -> None:
    w = Watched(2)
    starting = w.workers[1]
    starting.state, starting.beats = "starting", False
    w.look(600)
    assert (starting.done, w.said, w.gauge("down")) == ([], [], 1)


def test_a_look_that_fails_is_said_and_the_next_one_is_taken() -> None:
    class Broken(Worker):
        def listen_to_heartbeat(self, now: float) -> bool:
            raise ValueError("quotes what it must not")

    said: list[str] = []

    async def play() -> None:
        stopping = asyncio.Event()

        def report(sentence: str) -> None:
            said.append(sentence)
            if len(said) == 3:
                stopping.set()

        await StandstillWatch([Broken(0)], Patience(look_s=0.001), report, FakeMeter()).run(stopping)

    asyncio.run(play())
    assert said == ["a look at the workers' heartbeats failed: ValueError"] * 3
