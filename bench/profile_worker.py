"""Where a worker's CPU goes: one real worker in this process under a profiler, stores, upstream and load in others.

`python -m bench.profile_worker` prints, for hits and misses with both bodies, CPU per request without a profiler, then
the functions that a tracing profiler (cProfile) charges most. It overcharges small Python functions: use it to find
what to look at, and the unprofiled line to see whether it helped.
"""

import asyncio
import cProfile
import gc
import io
import os
import pstats
import socket
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import uvloop

from bench.bodies import BODIES, PATH
from bench.load import Order
from bench.processes import Child, Load
from bench.under_test import create_key, write_config
from gateway.cli.serve import reader_command
from gateway.settings import Settings
from gateway.wiring.stores import with_store_urls
from gateway.wiring.worker import run_worker

MARKS = {"hit": "esm-gateway; hit", "miss": "esm-gateway; fwd=miss"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to profile and how to show it."""

    seconds: float
    top: int
    sort: str
    only: str
    connections: int


class Collections:
    """What garbage collection takes meanwhile."""

    def __init__(self) -> None:
        self.count, self.seconds, self._began = 0, 0.0, 0.0

    def seen(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.count += 1
            self.seconds += time.perf_counter() - self._began


@contextmanager
def collecting() -> Iterator[Collections]:
    collections = Collections()
    gc.callbacks.append(collections.seen)
    try:
        yield collections
    finally:
        gc.callbacks.remove(collections.seen)


async def main(wanted: Wanted) -> None:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="esmgw-profile-")))
        sandbox = await Child.start("-m", "gateway.sandbox", "--port", "0", log=directory / "sandbox.log")
        stack.push_async_callback(sandbox.stop)
        config = write_config(directory, sandbox.url)
        settings = await with_store_urls(Settings.model_validate(tomllib.loads(config.read_text())), stack)
        settings.metrics_dir.mkdir(parents=True)
        key = await create_key(config)
        load = await Load.start()
        stack.push_async_callback(load.stop)
        url = await _worker(settings, stack)
        for body in BODIES:
            for mark in MARKS:
                if wanted.only in f"{body} {mark}":
                    await _profile(load, url, key, body, mark, wanted)


async def _worker(settings: Settings, stack: AsyncExitStack) -> str:
    """A worker as the supervisor starts it, on this loop. Its access log, on standard output, goes nowhere."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    ready, stop = asyncio.Event(), asyncio.Event()
    quiet = settings.model_copy(update={"log": settings.log.model_copy(update={"access": False})})
    task = asyncio.create_task(run_worker(quiet, 0, [listener], ready.set, stop, reader_command))

    async def ended() -> None:
        stop.set()
        await task

    stack.push_async_callback(ended)
    await ready.wait()
    return f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}"


async def _profile(load: Load, url: str, key: str, body: str, mark: str, wanted: Wanted) -> None:
    serial = int.from_bytes(os.urandom(2)) * 100

    async def once() -> str:
        nonlocal serial
        order = Order(
            url=url,
            body=body,
            connections=wanted.connections,
            seconds=wanted.seconds,
            mark=MARKS[mark],
            first_serial=None if mark == "hit" else serial,
            headers={"Authorization": f"Bearer {key}"},
            poller={"worker": os.getpid()},
        )
        with collecting() as collections:
            figures = await load.measure(order)
        serial = figures.next_serial
        cpu, collected = figures.cpu_s["worker"] / figures.requests, collections.seconds / figures.requests
        return (
            f"{cpu * 1e6:.0f} us CPU each ({collected * 1e6:.0f} of it collecting garbage), p50 {figures.p50_ms:.3f} ms"
        )

    print(f"\n== {body} {mark}: {await once()}; again {await once()}")
    profiler = cProfile.Profile()
    profiler.enable()
    profiled = await once()
    profiler.disable()
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).sort_stats(wanted.sort).print_stats(wanted.top)
    print(f"profiled: {profiled}\n" + "\n".join(out.getvalue().splitlines()[2:]))


@click.command()
@click.option("--seconds", default=2.0, show_default=True)
@click.option("--top", default=40, show_default=True)
@click.option("--sort", default="tottime", show_default=True)
@click.option("--connections", default=1, show_default=True)
@click.option("--only", default="", help="For instance: small hit.")
def command(seconds: float, top: int, sort: str, connections: int, only: str) -> None:
    """Where a worker's CPU goes."""
    uvloop.run(main(Wanted(seconds, top, sort, only, connections)))


if __name__ == "__main__":
    command()
