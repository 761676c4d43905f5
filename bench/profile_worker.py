"""Where a worker's CPU goes: one worker in this process under a profiler, the load generator in another.

`python -m bench.profile_worker` prints, for hits and misses with both bodies, CPU per request without a profiler, then
the functions that a tracing profiler (cProfile) charges most. It overcharges small Python functions: use it to find
what to look at and the first line to see whether it helped. Stores are memory, so the stores' own cost is not in it;
`python -m bench` measures the whole.
"""

import asyncio
import cProfile
import io
import os
import pstats
import tempfile
import time
from pathlib import Path

import click
import uvloop
from aiohttp import web

from bench.bodies import BODIES, PATH
from bench.load import Figures, Order
from bench.processes import Child, Load
from gateway.adapters.access_log import StreamAccessLog
from gateway.adapters.clock import SystemClock
from gateway.adapters.memory import Memory
from gateway.adapters.prometheus import PrometheusMeter
from gateway.adapters.tasks import AsyncTasks
from gateway.adapters.upstream_http import HttpUpstream
from gateway.core import credentials
from gateway.core.nouns import KeyRecord
from gateway.flow.dispatch import UpstreamKey
from gateway.settings import Settings
from gateway.web.proxy import Proxy
from gateway.web.server import Server
from gateway.wiring import World, assemble, pepper

MASTER = b"m" * 32
AMPLE = {"requests_per_minute": 60_000_000, "burst": 1_000_000, "concurrent": 1000, "units_per_day": 2**50}


class Worker:
    """A gateway worker on memory stores, in this process, with a real clock, real metrics, log, door and upstream."""

    def __init__(self, upstream_url: str, directory: Path) -> None:
        self.settings = Settings.model_validate({"upstream": {"url": upstream_url}, "limits": {"default": AMPLE}})
        self.key = credentials.mint(os.urandom(44))
        memory, clock, up = Memory(), SystemClock(), self.settings.upstream
        record = KeyRecord(self.key.public_id, credentials.digest(pepper(MASTER), self.key), "bench", "bench", 0.0)
        memory.directory.records[record.public_id] = record
        memory.ledger.rules._now = clock.now
        memory.cache._now = clock.now
        upstream = HttpUpstream(
            upstream_url,
            connect_s=up.connect_s,
            first_byte_s=up.first_byte_s,
            total_s=up.total_s,
            max_concurrent=up.max_concurrent,
            keepalive_s=up.keepalive_s,
        )
        self.upstream = upstream
        log = os.open(directory / "access.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.world = World(
            memory.directory,
            memory.ledger,
            memory.cache,
            upstream,
            memory.audit,
            PrometheusMeter("bench", directory),
            StreamAccessLog(log),
            clock,
            AsyncTasks(),
        )
        self.flow = assemble(self.world, self.settings, MASTER, [UpstreamKey("bench", "upstream-key")])

    async def serve(self) -> str:
        proxy = Proxy(self.flow.pipeline, self.flow.deliver, {}, self.world.clock, self.world.meter)
        server = Server(proxy, max_body_bytes=self.settings.request.max_body_bytes, keepalive_s=75.0)
        runner = web.ServerRunner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.behind = [asyncio.ensure_future(part.forever()) for part in (self.flow.watch, self.flow.admission)]
        await asyncio.sleep(0.05)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"


async def _measured(load: Load, order: Order) -> str:
    began = time.process_time()
    figures = await load.measure(order)
    # Warm-up is not counted in the figures, so the worker's CPU is read by the load generator, too.
    if figures.fault:
        raise SystemExit(f"wrong answer: {figures.fault}")
    return _line(figures, time.process_time() - began)


def _line(figures: Figures, _: float) -> str:
    cpu = figures.cpu_s["worker"] / figures.requests * 1e6
    return f"{figures.requests} requests, {cpu:.0f} us CPU each, p50 {figures.p50_ms:.3f} ms"


async def main(seconds: float, top: int, sort: str, only: str) -> None:
    with tempfile.TemporaryDirectory(prefix="esmgw-profile-") as name:
        sandbox = await Child.start("-m", "gateway.sandbox", "--port", "0", errors=Path(name, "sandbox.log"))
        load = await Load.start()
        try:
            worker = Worker(sandbox.url, Path(name))
            url = await worker.serve() + PATH
            for body in BODIES:
                for mark in ("hit", "miss"):
                    if only in f"{body} {mark}":
                        await _profile(load, worker, url, body, mark, seconds, top, sort)
        finally:
            await load.stop()
            await sandbox.stop()


async def _profile(
    load: Load, worker: Worker, url: str, body: str, mark: str, seconds: float, top: int, sort: str
) -> None:
    def order(serial: int) -> Order:
        headers = {"Authorization": f"Bearer {worker.key.text}"}
        expected = "esm-gateway; hit" if mark == "hit" else "esm-gateway; fwd=miss"
        first = None if mark == "hit" else serial
        watch = {"worker": os.getpid()}
        return Order(url, body, 1, seconds, mark=expected, first_serial=first, headers=headers, watch=watch)

    print(f"\n== {body} {mark}: {await _measured(load, order(0))}; again {await _measured(load, order(1_000_000))}")
    profiler = cProfile.Profile()
    profiler.enable()
    line = await _measured(load, order(2_000_000))
    profiler.disable()
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).sort_stats(sort).print_stats(top)
    print(f"profiled: {line}\n" + "\n".join(out.getvalue().splitlines()[2:]))


@click.command()
@click.option("--seconds", default=2.0, show_default=True)
@click.option("--top", default=40, show_default=True)
@click.option("--sort", default="tottime", show_default=True)
@click.option("--only", default="", help="for instance: small hit")
def command(seconds: float, top: int, sort: str, only: str) -> None:
    uvloop.run(main(seconds, top, sort, only))


if __name__ == "__main__":
    command()
