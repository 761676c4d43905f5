"""A worker that cannot be started again: the others serve all along, and its slot comes back when it can."""

import asyncio
import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.supervisor import StartFailed
from tests.adapters.crew import ROOT, Crew

NOT_STARTED = ("esmgw_worker_restarts_total", "not_started")
Fault = Callable[[Crew], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@contextmanager
def no_descriptors(_: Crew) -> Iterator[None]:
    """As `prlimit --nofile` does to a running supervisor: what is open stays open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def a_command_that_exits_at_once(crew: Crew) -> Iterator[None]:
    crew.fail.touch()
    try:
        yield
    finally:
        crew.fail.unlink()


def a_start_that_raises(error: Exception) -> Fault:
    """As fork(2) does without memory, and a thread that waits for the child does without room for one."""

    @contextmanager
    def fault(_: Crew) -> Iterator[None]:
        async def refuse(*words: str, **more: Any) -> None:
            raise error

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "create_subprocess_exec", refuse)
            yield

    return fault


@contextmanager
def a_program_that_is_gone(_: Crew) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", "/nonexistent/python")
        yield


FAULTS: dict[str, tuple[Fault, str]] = {
    "no descriptors": (no_descriptors, "could not be started (Too many open files)"),
    "exits at once": (a_command_that_exits_at_once, "exited with status 3 before it was ready"),
    "no memory": (
        a_start_that_raises(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))),
        "could not be started (Cannot allocate memory)",
    ),
    "no thread": (a_start_that_raises(RuntimeError("can't start new thread")), "could not be started (RuntimeError)"),
    "no program": (a_program_that_is_gone, "could not be started (No such file or directory)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_others_serve_all_along_and_the_slot_comes_back(tmp_path: Path, name: str) -> None:
    fault, words = FAULTS[name]

    async def play(crew: Crew) -> None:
        before = await crew.everyone()
        # Connections that are open already, because this process is the supervisor's and may have no more descriptors.
        reader, writer = await crew.begin(slot=1)
        with fault(crew):
            os.kill(before[0], signal.SIGKILL)
            await crew.hears(f"worker 0 {words}; restarting in 0.4 s")
            writer.write(b"still there?\n")
            assert b'"slot": 1' in await reader.read()
        writer.close()
        assert {(await crew.ask(patience_s=2.0))["slot"] for _ in range(20)} == {1}
        after = await crew.everyone()
        assert (after[0] != before[0], after[1]) == (True, before[1])
        crew.supervisor.stop()

    crew = Crew(tmp_path, 2)
    assert crew.run(play) == 0
    assert crew.meter.counts[NOT_STARTED] >= 2
    assert crew.said[0] == "worker 0 exited with signal 9; restarting in 0.1 s"


@pytest.mark.parametrize("name", FAULTS)
def test_at_the_first_start_it_is_the_end_with_the_reason(tmp_path: Path, name: str) -> None:
    fault, words = FAULTS[name]

    async def play(crew: Crew) -> None:
        raise AssertionError("it cannot be ready")

    crew = Crew(tmp_path, 2)
    crew.on_start = fault(crew)
    with pytest.raises(StartFailed, match=words.replace("(", r"\(").replace(")", r"\)")):
        crew.run(play)
