"""The stores that come with the gateway: one server a directory, kept across crashes, gone with its last user."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.adapters.embedded_store import LOG_BYTES, SOCKET_PATH_BYTES, EmbeddedStore, EmbeddedStoreError, open_store
from gateway.adapters.redis_connect import connect
from tests.contracts.servers import eventually

# What another gateway process does: open the store, write, say where it is, and wait to be ended.
ANOTHER = """
import asyncio, sys
from pathlib import Path
from gateway.adapters.embedded_store import open_store
async def main():
    store = await open_store(Path(sys.argv[1]), "state")
    print(store.pid, int(store.adopted), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await store.stop()
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _nothing_runs_on_after_a_failed_test(tmp_path: Path) -> Iterator[None]:
    yield
    for record in tmp_path.rglob("pid"):
        os.kill(int(record.read_text()), signal.SIGKILL)


async def say(store: EmbeddedStore, *words: str) -> object:
    client = connect(store.url, timeout_s=5.0, name="test")
    try:
        return await client.call("test", *words)
    finally:
        await client.close()


async def setting(store: EmbeddedStore, name: str) -> str:
    pair = await say(store, "CONFIG", "GET", name)
    assert isinstance(pair, list)
    return bytes(pair[1]).decode()


async def ended(pid: int) -> None:
    async def gone() -> bool:
        return not alive(pid)

    await eventually(gone, "the end of the server")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_starts_answers_and_leaves_nothing_running(tmp_path: Path) -> None:
    async def story() -> None:
        store = await open_store(tmp_path / "with a space", "state")
        assert await say(store, "SET", "k", "v")
        assert not store.adopted
        assert alive(store.pid)
        await store.stop()
        assert not alive(store.pid)
        assert not store.socket.exists()
        await store.stop()
        assert await store.ensure() is False
        assert not store.socket.exists()

    asyncio.run(story())


def test_it_opens_no_port_and_its_directory_is_closed_to_others(tmp_path: Path) -> None:
    async def story() -> None:
        store = await open_store(tmp_path, "state")
        assert await setting(store, "port") == "0"
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        assert stat.S_IMODE(store.socket.stat().st_mode) == 0o700
        await store.stop()

    asyncio.run(story())


def test_a_signal_to_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    async def story() -> None:
        store = await open_store(tmp_path, "state")
        assert os.getsid(store.pid) == store.pid != os.getsid(0)
        await store.stop()

    asyncio.run(story())


def test_the_state_is_never_evicted_and_the_cache_is(tmp_path: Path) -> None:
    async def story() -> None:
        state = await open_store(tmp_path, "state")
        cache = await open_store(tmp_path, "cache", maxmemory_mb=32)
        for store, policy, size in ((state, "noeviction", 0), (cache, "allkeys-lfu", 32 << 20)):
            assert await setting(store, "maxmemory-policy") == policy
            assert int(await setting(store, "maxmemory")) == size
            assert await setting(store, "appendonly") == "yes"
        await state.stop()
        await cache.stop()

    asyncio.run(story())


@pytest.mark.parametrize("role", ["state", "cache"])
def test_what_was_answered_survives_the_servers_kill(tmp_path: Path, role: str) -> None:
    async def story() -> None:
        store = await open_store(tmp_path, "state" if role == "state" else "cache", maxmemory_mb=32)
        await say(store, "SET", "k", "v")
        url, pid = store.url, store.pid
        os.kill(pid, signal.SIGKILL)
        assert await store.ensure()
        assert (store.url, await say(store, "GET", "k")) == (url, b"v")
        assert store.pid != pid
        assert not await store.ensure()
        await store.stop()

    asyncio.run(story())


def test_a_write_cut_short_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    async def story() -> None:
        store = await open_store(tmp_path, "state")
        await say(store, "SET", "k", "v")
        os.kill(store.pid, signal.SIGKILL)
        (log,) = (tmp_path / "state" / "appendonlydir").glob("*.incr.aof")
        with log.open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nlo")
        await store.ensure()
        assert await say(store, "GET", "k") == b"v"
        await store.stop()

    asyncio.run(story())


def test_all_who_open_it_at_once_share_one_server(tmp_path: Path) -> None:
    async def story() -> None:
        stores = await asyncio.gather(*(open_store(tmp_path, "state") for _ in range(4)))
        assert len({store.pid for store in stores}) == 1
        assert sorted(store.adopted for store in stores) == [False, True, True, True]
        for store in stores[:3]:
            await store.stop()
        assert await say(stores[3], "PING")
        await stores[3].stop()
        await ended(stores[3].pid)

    asyncio.run(story())


def test_a_gateway_that_was_killed_leaves_a_server_that_the_next_one_adopts_and_stops(tmp_path: Path) -> None:
    others = [
        subprocess.Popen(
            [sys.executable, "-c", ANOTHER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [other.stdout.readline().split() for other in others if other.stdout]
    assert said[0][0] == said[1][0]
    assert sorted(words[1] for words in said) == ["0", "1"]
    for other in others:
        other.kill()
        other.communicate()

    async def story() -> None:
        store = await open_store(tmp_path, "state")
        assert (store.pid, store.adopted) == (int(said[0][0]), True)
        await store.stop()
        await ended(store.pid)

    asyncio.run(story())


def test_an_adopted_server_that_dies_is_replaced_by_whoever_notices_first(tmp_path: Path) -> None:
    async def story() -> None:
        first, second = await open_store(tmp_path, "state"), await open_store(tmp_path, "state")
        os.kill(first.pid, signal.SIGKILL)
        await asyncio.gather(first.ensure(), second.ensure())
        assert await say(first, "PING")
        assert await say(second, "PING")
        assert await first.ensure() is False
        assert await second.ensure() is False
        assert first.pid == second.pid
        await first.stop()
        await second.stop()
        await ended(second.pid)

    asyncio.run(story())


def test_a_long_path_gets_a_short_socket_of_our_own(tmp_path: Path) -> None:
    async def story() -> None:
        home = tmp_path / ("long" * 30)
        store = await open_store(home, "state")
        assert len(os.fsencode(store.socket)) <= SOCKET_PATH_BYTES
        assert stat.S_IMODE(store.socket.parent.stat().st_mode) == 0o700
        second = await open_store(home, "state")
        assert (second.url, second.pid) == (store.url, store.pid)
        os.kill(store.pid, signal.SIGKILL)
        assert await store.ensure()
        assert store.url == second.url
        await store.stop()
        await second.stop()
        assert not store.socket.parent.exists()

    asyncio.run(story())


def test_a_socket_directory_that_others_could_have_made_is_not_used(tmp_path: Path) -> None:
    async def story() -> None:
        open_to_all = tmp_path / "x"
        open_to_all.mkdir()
        open_to_all.chmod(0o777)
        home = tmp_path / ("long" * 30)
        (home / "state").mkdir(parents=True)
        (home / "state" / "socket-path").write_text(str(open_to_all / "socket"))
        store = await open_store(home, "state")
        assert store.socket.parent != open_to_all
        await store.stop()

    asyncio.run(story())


def test_a_server_that_cannot_start_says_where_to_look_and_holds_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        store = await open_store(tmp_path, "state")
        await say(store, "SET", "k", "v")
        await store.stop()
        (manifest,) = (tmp_path / "state" / "appendonlydir").glob("*.manifest")
        good = manifest.read_bytes()
        manifest.write_bytes(b"nonsense\n")
        for _ in range(2):
            with pytest.raises(EmbeddedStoreError, match=r"server\.log"):
                await open_store(tmp_path, "state")
        manifest.write_bytes(good)
        store = await open_store(tmp_path, "state")
        assert await say(store, "GET", "k") == b"v"
        await store.stop()

    asyncio.run(story())


def test_its_log_does_not_grow_without_end(tmp_path: Path) -> None:
    async def story() -> None:
        store = await open_store(tmp_path, "state")
        with store.log.open("ab") as file:
            file.write(b"x" * (LOG_BYTES + 1))
        assert not await store.ensure()
        await store.stop()
        assert store.log.stat().st_size < LOG_BYTES
        assert (tmp_path / "state" / "server.log.1").stat().st_size > LOG_BYTES

    asyncio.run(story())
