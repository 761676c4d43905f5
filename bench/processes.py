"""The processes of a run: started, found, and ended again, all of them, whatever happens.

A server is ready when it has written its one JSON line. What it writes after that (an access log) goes to the same
file, so that reading it costs the bench nothing. Nothing secret is told by argument or environment.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from bench.load import Figures, Order

READY_S, END_S = 60.0, 20.0
ROOT = Path(__file__).resolve().parent.parent


class BrokenError(Exception):
    """The bench could not measure: a process did not start or ended, or an answer was not what was ordered."""


class Child:
    """A server in a process of its own; `ready` is the JSON line that it wrote. It ends on SIGTERM."""

    def __init__(self, process: Process, ready: dict[str, Any]) -> None:
        self.process, self.ready = process, ready

    @classmethod
    async def start(cls, *arguments: str, log: Path, **more: str) -> "Child":
        """A process of ours; `more` are variables of its environment."""
        with log.open("wb") as out, log.with_suffix(".err").open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=ROOT,
                env={**os.environ, **more},
            )
        deadline = time.monotonic() + READY_S
        while process.returncode is None and time.monotonic() < deadline:
            line, whole, _ = await asyncio.to_thread(_first_line, log)
            if whole:
                return cls(process, json.loads(line))
            await asyncio.sleep(0.02)
        await end(process)
        raise BrokenError(f"{' '.join(arguments)} did not start: {log.with_suffix('.err').read_text()[-2000:]}")

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def pid(self) -> int:
        return self.process.pid

    async def stop(self) -> None:
        await end(self.process)


def _first_line(log: Path) -> tuple[bytes, bytes, bytes]:
    return log.read_bytes().partition(b"\n")


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
            raise BrokenError("the load generator ended")
        figures = Figures(**orjson.loads(line))
        if figures.fault or not figures.requests:
            raise BrokenError(f"{order.url} {order.body}: {figures.fault or 'nothing was answered'}")
        return figures

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
