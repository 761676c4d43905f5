"""Workers that die are replaced, those that work may finish, and nothing outlives the supervisor."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.sockets import close_all, open_sockets
from gateway.adapters.supervisor import StartFailed, Supervisor

WORKER = Path(__file__).with_name("small_worker.py")
ROOT = Path(__file__).resolve().parents[2]


class Crew:
    """A supervisor over small workers, and what it said."""

    def __init__(self, directory: Path, workers: int, servers: Sequence[Any] = (), drain_s: float = 5.0) -> None:
        self.fail = directory / "fail"
        self.workers, self.servers, self.drain_s = workers, servers, drain_s
        self.said: list[str] = []

    def run(self, play: "Callable[[Crew], Awaitable[None]]") -> int:
        return asyncio.run(self._run(play))

    async def _run(self, play: "Callable[[Crew], Awaitable[None]]") -> int:
        sockets = await open_sockets("127.0.0.1", 0, self.workers)
        self.port = sockets[0].getsockname()[1]
        self.ready = asyncio.Event()
        brief = json.dumps({"fail": str(self.fail)}).encode()
        self.supervisor = Supervisor(_command, brief, sockets, self.servers, self.drain_s, self.said.append)
        running = asyncio.ensure_future(self.supervisor.run(self.ready.set))
        playing = asyncio.ensure_future(self._play(play))
        try:
            await asyncio.wait([running, playing], return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
            return await running
        finally:
            playing.cancel()
            self.supervisor.stop()
            await asyncio.gather(playing, running, return_exceptions=True)
            close_all(sockets)

    async def _play(self, play: "Callable[[Crew], Awaitable[None]]") -> None:
        await self.ready.wait()
        await play(self)

    async def ask(self, directives: str = "", patience_s: float = 10.0) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{directives}\n".encode())
        return await _answer(reader, writer, patience_s)

    async def begin(self) -> "tuple[asyncio.StreamReader, asyncio.StreamWriter]":
        """A call that is under way, and waits for a word of its caller."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"wait\n")
        assert await reader.readline() == b"waiting\n"
        return reader, writer

    async def refused(self) -> None:
        """Until nobody listens any more."""
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    return
                writer.close()
                await asyncio.sleep(0.01)

    async def everyone(self) -> dict[int, int]:
        """Process ids by slot."""
        found: dict[int, int] = {}
        async with asyncio.timeout(10):
            while len(found) < self.workers:
                told = await self.ask()
                if told:
                    found[told["slot"]] = told["pid"]
        return found


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience_s: float = 10.0
) -> dict[str, Any]:
    async with asyncio.timeout(patience_s):
        answer = await reader.read()
    writer.close()
    return json.loads(answer) if answer else {}


def _command(slot: int, listener: int, ready: int) -> Sequence[str]:
    return (sys.executable, str(WORKER), str(slot), str(listener), str(ready))


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


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
        assert (await _answer(reader, writer))["slot"] == 0

    assert Crew(tmp_path, 1).run(play) == 0


def test_a_second_stop_ends_at_once_what_would_not_finish(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        pid = (await crew.ask())["pid"]
        reader, writer = await crew.begin()
        crew.supervisor.stop()
        await crew.refused()
        assert alive(pid)
        crew.supervisor.stop()
        assert await _answer(reader, writer) == {}

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
            self.alive, self.broken, self.tries = True, False, 0

        async def ensure(self) -> bool:
            self.tries += 1
            if self.broken:
                raise OSError("no room")
            was, self.alive = self.alive, True
            return not was

    server = Mortal()

    async def play(crew: Crew) -> None:
        server.alive = False
        async with asyncio.timeout(1):
            while not server.alive:
                await asyncio.sleep(0.01)
        server.broken = True
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
