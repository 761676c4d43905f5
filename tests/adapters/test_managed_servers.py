"""Servers beside the workers: an exit is noticed at once and by itself, of children and of others."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gateway.adapters import managed_servers
from gateway.adapters.embedded_store import LOG_BYTES, EmbeddedStore, open_store
from gateway.adapters.managed_servers import cancel_all, keep_running
from gateway.adapters.process_exit import wait_for_exit
from tests.adapters.test_embedded_store import ANOTHER
from tests.contracts.servers import eventually

# Less than the look that is taken anyway.
AT_ONCE_S = 3.0


@pytest.fixture(autouse=True)
def _nothing_runs_on_after_a_failed_test(tmp_path: Path) -> Iterator[None]:
    yield
    for record in tmp_path.rglob("pid"):
        os.kill(int(record.read_text()), signal.SIGKILL)


async def said(sentences: list[str], words: str, seconds: float) -> None:
    async def so() -> bool:
        return any(words in sentence for sentence in sentences)

    await eventually(so, words, seconds)


def kept(store_of: Callable[[], Awaitable[EmbeddedStore]], patience_s: float = AT_ONCE_S) -> None:
    """The server of this store is killed twice, and each time it runs again soon."""

    async def play() -> None:
        store, stopping = await store_of(), asyncio.Event()
        sentences: list[str] = []
        keeping = asyncio.ensure_future(keep_running(store, stopping, sentences.append))
        for _ in range(2):
            killed = store.pid
            os.kill(killed, signal.SIGKILL)
            await said(sentences, "the state server had exited and was restarted", patience_s)
            assert store.pid != killed
            sentences.clear()
        stopping.set()
        await keeping
        await store.stop()

    asyncio.run(play())


def test_the_exit_of_a_server_that_was_started_here_is_noticed_at_once(tmp_path: Path) -> None:
    assert managed_servers.LOOK_S > AT_ONCE_S
    kept(lambda: open_store(tmp_path, "state"))


def test_the_exit_of_an_adopted_server_is_noticed_at_once(tmp_path: Path) -> None:
    words = [sys.executable, "-c", ANOTHER, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.kill()
        other.communicate()

    async def adopted() -> EmbeddedStore:
        store = await open_store(tmp_path, "state")
        assert store.adopted
        return store

    kept(adopted)


@pytest.mark.parametrize(
    "error", [OSError(38, "not implemented"), AttributeError("pidfd_open"), OSError(24, "too many")]
)
def test_where_the_system_cannot_tell_of_an_exit_it_is_noticed_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(pid: int) -> int:
        raise error

    monkeypatch.setattr(os, "pidfd_open", refuse)
    kept(lambda: open_store(tmp_path, "state"))


class Server:
    """One that is told what to do; `looks` are the moments at which it was asked."""

    role, pid = "state", 7

    def __init__(self) -> None:
        self.looks = 0

    async def ensure(self) -> bool:
        self.looks += 1
        return False

    async def wait_exited(self) -> None:
        """As of a process id that means nothing here: it always says that the server is gone."""


def test_a_server_that_is_said_to_be_gone_and_is_not_is_not_asked_without_pause() -> None:
    async def play() -> None:
        server, stopping = Server(), asyncio.Event()
        keeping = asyncio.ensure_future(keep_running(server, stopping, print))
        await asyncio.sleep(0.5)
        stopping.set()
        await keeping
        assert 1 <= server.looks < 6

    asyncio.run(play())


def test_a_server_that_lives_is_looked_at_now_and_then_and_its_log_kept_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managed_servers, "LOOK_S", 0.05)

    async def play() -> None:
        store, stopping = await open_store(tmp_path, "state"), asyncio.Event()
        keeping = asyncio.ensure_future(keep_running(store, stopping, print))
        with store.log.open("ab") as file:
            file.write(b"x" * (LOG_BYTES + 1))

        async def rotated() -> bool:
            return store.log.with_suffix(".log.1").exists()

        await eventually(rotated, "another log")
        stopping.set()
        await keeping
        await store.stop()

    asyncio.run(play())


def test_the_exit_of_a_process_is_told_and_its_life_is_not() -> None:
    async def play() -> None:
        child = await asyncio.create_subprocess_exec("sleep", "60")
        waiting = asyncio.ensure_future(wait_for_exit(child.pid))
        done, _ = await asyncio.wait((waiting,), timeout=0.2)
        assert not done
        child.kill()
        await asyncio.wait_for(waiting, AT_ONCE_S)
        await child.wait()
        await asyncio.wait_for(wait_for_exit(child.pid), AT_ONCE_S)

    asyncio.run(play())


def test_who_stops_waiting_for_an_exit_holds_no_descriptor() -> None:
    async def play() -> None:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            waiting = asyncio.ensure_future(wait_for_exit(os.getppid()))
            await asyncio.sleep(0)
            await cancel_all(waiting)
        assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(play())
