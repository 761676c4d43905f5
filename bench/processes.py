"""The processes of a run: started, found, and ended again, all of them, whatever happens.

A server is ready when it prints its one JSON line. Nothing is told by argument or environment that is secret.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from bench.load import Figures, Order

READY_S, END_S = 30.0, 15.0
ROOT = Path(__file__).resolve().parent.parent


class Child:
    """A process that prints one JSON line once it is ready (`ready`), and ends on SIGTERM."""

    def __init__(self, process: Process, ready: dict[str, Any]) -> None:
        self.process, self.ready = process, ready

    @classmethod
    async def start(cls, *arguments: str, errors: Path) -> "Child":
        with errors.open("ab") as stream:
            # Lines of the access log are small; the limit is for the one JSON line of the bench itself.
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdin=PIPE, stdout=PIPE, stderr=stream, cwd=ROOT, limit=2**20
            )
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), READY_S)
            return cls(process, json.loads(line))
        except (TimeoutError, ValueError):
            await end(process)
            raise RuntimeError(f"{arguments[1]} did not start: {errors.read_text()[-2000:]}") from None

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    async def stop(self) -> None:
        await end(self.process)


class Load:
    """The load generator's process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> "Load":
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.load", stdin=PIPE, stdout=PIPE, cwd=ROOT
        )
        return cls(process)

    async def measure(self, order: Order) -> Figures:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps(asdict(order)) + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), order.seconds + 180)
        if not line:
            raise RuntimeError("the load generator ended")
        return Figures(**orjson.loads(line))

    async def stop(self) -> None:
        await end(self._process)


async def end(process: Process) -> None:
    """Ask it to end, and make it if it does not."""
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.communicate(), END_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def descendants(pid: int) -> Iterator[int]:
    """All processes below this one."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            yield child
            yield from descendants(child)


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
