"""The product as it is started by a newcomer, and a look at it from outside: its processes, its upstream's log."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

BODY: dict[str, Any] = {
    "model": "esm3-open-2024-03",
    "inputs": {"sequence": [0, 20, 32, 5, 32, 9, 2]},
    "track": "sequence",
    "num_steps": 1,
    "temperature": 0,
    "strategy": "entropy",
    "temperature_annealing": False,
}
PATH = "/api/v1/generate_tensor"
COMMAND = (sys.executable, "-m", "gateway")


class Product:
    """A running demo. `said` is the JSON line that it printed."""

    def __init__(self, process: "subprocess.Popen[bytes]", said: Mapping[str, Any], directory: Path) -> None:
        self.process, self.said, self.directory = process, said, directory
        self.url = str(said["url"])
        self.sandbox = str(said["sandbox_url"])
        self.headers = {"Authorization": f"Bearer {said['key']}"}

    def tree(self) -> dict[int, str]:
        """Process ids with command lines of everything that belongs to this demo."""
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                line = command_line(int(entry.name))
                if str(self.directory) in line or parent(int(entry.name)) == self.process.pid:
                    found[int(entry.name)] = line
        return found

    def workers(self) -> list[int]:
        return [pid for pid, line in self.tree().items() if " worker" in line]

    def store(self, role: str) -> int:
        """The process id of an embedded store."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and "valkey-server" in command_line(int(entry.name)):
                cwd = os.readlink(entry / "cwd")
                if cwd.startswith(str(self.directory)) and cwd.rstrip("/").endswith(role):
                    return int(entry.name)
        raise AssertionError(f"no {role} store is running")

    def leader(self) -> int:
        """The worker that holds a connection to the sandbox."""
        port = int(self.sandbox.rsplit(":", 1)[1])
        inodes = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            columns = line.split()
            if int(columns[2].split(":")[1], 16) == port and columns[3] == "01":
                inodes.add(f"socket:[{columns[9]}]")
        for pid in self.workers():
            links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
            if inodes & set(links):
                return pid
        raise AssertionError("no worker talks to the sandbox")

    async def calls(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        async with session.get(f"{self.sandbox}/__sandbox/calls") as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def forget_calls(self, session: aiohttp.ClientSession) -> None:
        async with session.delete(f"{self.sandbox}/__sandbox/calls") as response:
            assert response.status < 300

    async def ask(
        self, session: aiohttp.ClientSession, changes: Mapping[str, Any] | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One call; `cache_control="no-cache"` becomes that header."""
        named = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with session.post(self.url + PATH, json={**BODY, **(changes or {})}, headers=named) as response:
            return response.status, dict(response.headers), await response.read()


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0


@contextmanager
def demo(directory: Path, *options: str) -> Iterator[Product]:
    """`esm-gateway demo` on any free port until the block ends; everything must be gone afterwards."""
    complaints = directory.parent / f"{directory.name}.stderr"
    with complaints.open("ab") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "demo", "--port", "0", "--data-dir", str(directory), "--json", *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            # Upstream calls are counted in these tests; hits that are computed again by chance would be more of them.
            env={"GATEWAY_CACHE__SPOT_CHECK_FRACTION": "0", **os.environ},
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, complaints.read_text()[-2000:]
        yield Product(process, json.loads(line), directory)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)
        process.stdout.close()


async def until(fact: Any, seconds: float = 10.0) -> float:
    """Seconds until an awaitable fact holds; fails after `seconds`."""
    began = time.monotonic()
    while not await fact():
        assert time.monotonic() - began < seconds, "it did not come true in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def many(limit: int = 600) -> aiohttp.ClientSession:
    """A client whose every call has a connection of its own, so that the kernel spreads them over the workers."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit, force_close=True))
