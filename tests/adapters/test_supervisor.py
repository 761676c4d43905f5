"""Workers that die are replaced, those that work may finish, and nothing outlives the supervisor."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from gateway.adapters.supervisor import StartFailed
from tests.adapters.crew import ROOT, Crew, alive, answer_of


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_every_slot_serves_on_the_same_port_and_all_end_on_stop(tmp_path: Path) -> None:
    seen: dict[int, int] = {}

    async def play(crew: Crew) -> None:
        seen.update(await crew.everyone())
        crew.supervisor.stop()

    assert Crew(tmp_path, 3).run(play) == 0
    assert sorted(seen) == [0, 1, 2]
    assert not any(alive(pid) for pid in seen.values())


def test_a_killed_worker_is_replaced_and_no_caller_is_turned_away(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        before = await crew.everyone()
        os.kill(before[1], signal.SIGKILL)
        answers = [await crew.ask() for _ in range(30)]
        assert all(answers)
        after = await crew.everyone()
        assert (after[0], after[1] != before[1]) == (before[0], True)
        crew.supervisor.stop()

    crew = Crew(tmp_path, 2)
    assert crew.run(play) == 0
    assert crew.said == ["worker 1 exited with signal 9; restarting in 0.1 s"]


def test_a_slot_whose_worker_keeps_failing_leaves_callers_to_the_others_and_recovers(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        before = await crew.everyone()
        crew.fail.touch()
        os.kill(before[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            while "restarting in 0.8 s" not in " ".join(crew.said):
                await asyncio.sleep(0.02)
        slots = {(await crew.ask(patience_s=2))["slot"] for _ in range(30)}
        assert slots == {1}
        crew.fail.unlink()
        assert set(await crew.everyone()) == {0, 1}
        crew.supervisor.stop()

    crew = Crew(tmp_path, 2)
    assert crew.run(play) == 0
    pauses = [said.rpartition(" in ")[2] for said in crew.said]
    assert pauses[:4] == ["0.1 s", "0.2 s", "0.4 s", "0.8 s"]


def test_a_call_under_way_is_answered_while_nothing_new_is_accepted(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        reader, writer = await crew.begin()
        crew.supervisor.stop()
        await crew.refused()
        writer.write(b"go on\n")
        assert (await answer_of(reader, writer))["slot"] == 0

    assert Crew(tmp_path, 1).run(play) == 0


def test_a_second_stop_ends_at_once_what_would_not_finish(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        pid = (await crew.ask())["pid"]
        reader, writer = await crew.begin()
        crew.supervisor.stop()
        await crew.refused()
        assert alive(pid)
        crew.supervisor.stop()
        assert await answer_of(reader, writer) == {}

    began = time.monotonic()
    assert Crew(tmp_path, 1, drain_s=60).run(play) == 1
    assert time.monotonic() - began < 30


def test_a_worker_that_ignores_the_signal_is_ended_when_the_time_is_over(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        pid.append((await crew.ask("deaf"))["pid"])
        crew.supervisor.stop()

    pid: list[int] = []
    assert Crew(tmp_path, 1, drain_s=0.1).run(play) == 1
    assert not alive(pid[0])


def test_a_worker_that_never_becomes_ready_ends_the_start_with_a_reason(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        raise AssertionError("it cannot be ready")

    crew = Crew(tmp_path, 2)
    crew.fail.touch()
    with pytest.raises(StartFailed, match="status 3 before it was ready"):
        crew.run(play)


def test_a_server_that_died_is_started_again_at_once_and_one_that_cannot_start_ends_nobody(tmp_path: Path) -> None:
    class Mortal:
        role, pid = "state", 7

        def __init__(self) -> None:
            self.alive, self.broken, self.exited = True, False, asyncio.Event()

        async def ensure(self) -> bool:
            if self.broken:
                raise OSError("no room")
            was, self.alive = self.alive, True
            self.exited.clear()
            return not was

        async def wait_exited(self) -> None:
            await self.exited.wait()

        def die(self) -> None:
            self.alive = False
            self.exited.set()

    server = Mortal()

    async def play(crew: Crew) -> None:
        server.die()
        async with asyncio.timeout(1):
            while not server.alive:
                await asyncio.sleep(0.01)
        server.broken = True
        server.die()
        async with asyncio.timeout(5):
            while len(crew.said) < 2:
                await asyncio.sleep(0.01)
        assert await crew.ask()
        crew.supervisor.stop()

    crew = Crew(tmp_path, 1, [server])
    assert crew.run(play) == 0
    assert crew.said[0] == "the state server had exited and was restarted (process 7)"
    assert crew.said[1].endswith("next attempt in 0.2 s: no room")


def test_a_signal_stops_it_as_a_call_does(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert Crew(tmp_path, 1).run(play) == 0


def test_workers_do_not_share_the_terminal_s_ctrl_c(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        groups = {os.getpgid(pid) for pid in (await crew.everyone()).values()}
        assert os.getpgid(0) not in groups
        crew.supervisor.stop()

    assert Crew(tmp_path, 2).run(play) == 0
