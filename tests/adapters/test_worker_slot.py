"""One slot over its workers' lives: nothing of a run is left behind, whatever way it ended."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.adapters.heartbeat import BEAT_S, start_beating
from gateway.adapters.sockets import close_all, open_sockets
from gateway.adapters.worker_slot import Ended, WorkerLaunch, WorkerSlot
from tests.adapters.crew import alive


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def a_slot() -> WorkerSlot:
    (listener,) = await open_sockets("127.0.0.1", 0, 1)
    return WorkerSlot(0, listener)


def launch_of(code: str) -> WorkerLaunch:
    """A worker that is this program; its heartbeat's descriptor is `beat`."""

    def command(slot: int, listener: int, beat: int) -> Sequence[str]:
        return (sys.executable, "-c", f"import os, signal, sys, time\nbeat = {beat}\n{code}")

    return WorkerLaunch(command, b"{}")


@pytest.mark.parametrize(
    "code, ended",
    [
        ("sys.exit(3)", Ended(3, "not_started")),
        ("os.kill(os.getpid(), signal.SIGKILL)", Ended(-9, "not_started")),
        ("os.close(beat); time.sleep(0.1)", Ended(0, "not_started")),
        ("os.write(beat, b'.'); sys.exit(3)", Ended(3, "exited")),
        ("os.write(beat, b'.'); os.kill(os.getpid(), signal.SIGTERM)", Ended(-15, "exited")),
    ],
)
def test_how_it_ended_is_told_and_no_descriptor_is_left(code: str, ended: Ended) -> None:
    async def play() -> None:
        slot = await a_slot()
        before = None
        for _ in range(3):
            assert await slot.run(launch_of(code), asyncio.Event()) == ended
            assert (slot.state, slot.was_ready.is_set()) == ("down", ended.reason == "exited")
            await asyncio.sleep(0)
            before = before or descriptors()
        assert descriptors() == before
        close_all([slot.listener])

    asyncio.run(play())


def test_a_run_that_fails_after_the_process_was_started_leaves_neither_process_nor_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without room to watch one more descriptor (ENOSPC of epoll_ctl)."""

    async def play() -> None:
        slot = await a_slot()
        running = asyncio.ensure_future(slot.run(launch_of("time.sleep(60)"), asyncio.Event()))
        while slot.state != "starting":
            await asyncio.sleep(0.01)
        process = slot._process
        assert process is not None
        before = descriptors()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (slot.state, alive(process.pid)) == ("down", False)
        assert descriptors() < before
        close_all([slot.listener])

    asyncio.run(play())


def test_a_worker_is_heard_of_from_its_first_beat_on_and_not_from_an_earlier_ones() -> None:
    async def play() -> None:
        slot = await a_slot()
        running = asyncio.ensure_future(slot.run(launch_of("os.write(beat, b'.'); time.sleep(60)"), asyncio.Event()))
        began = time.monotonic()
        await slot.was_ready.wait()
        assert slot.heard >= began
        assert not slot.listen_to_heartbeat(began + 1.0)
        assert began <= slot.heard < began + 60
        slot.replace()
        assert await running == Ended(-signal.SIGKILL, "stood_still")
        # The next one does not get ready: that is no standing still, and others may be replaced again.
        assert slot.being_replaced
        assert (await slot.run(launch_of("sys.exit(3)"), asyncio.Event())).reason == "not_started"
        assert not slot.being_replaced
        close_all([slot.listener])

    asyncio.run(play())


@pytest.mark.parametrize("reader", ["does not read", "has gone"])
def test_a_supervisor_that_does_not_read_holds_up_no_worker(reader: str) -> None:
    async def play() -> None:
        reading, writing = os.pipe()
        failed: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        if reader == "has gone":
            os.close(reading)
        else:
            os.set_blocking(writing, False)
            try:
                while True:
                    os.write(writing, b"." * 4096)
            except BlockingIOError:
                os.set_blocking(writing, True)
        start_beating(writing, 0.001)
        await asyncio.sleep(0.05)
        assert failed == []
        os.close(writing)
        if reader != "has gone":
            os.close(reading)

    asyncio.run(asyncio.wait_for(play(), 20))
    assert BEAT_S <= 0.5
