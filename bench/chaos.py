"""`python -m bench.chaos`: callers who hang up, a cache store that is slow, killed and started again, and the truth.

Several workers share a cache store behind a proxy that delays its replies; the store is killed (`kill -9`) every so
often and comes back empty. Each answer carries the digest of its question. Exit status 1 where one answer was wrong,
a connection was lost, or a worker died.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import click
import uvloop

from bench import figures
from bench.crowd import CacheStats, Crowd
from bench.marked import Questions
from bench.processes import BrokenError, Child
from bench.report import machine
from bench.served import Sandbox, Served, parsed_settings, sandbox, serving
from bench.store import CacheServer, cache_server

SHAPE = 1
USERS = ("ada", "bea")
LATENCY_S = 0.005


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what."""

    requests: int
    workers: int
    connections: int
    cancel: float
    kill_every_s: float
    down_s: float
    hot: int
    new: float
    late_share: float
    mislead: int


@dataclass(frozen=True, slots=True)
class Adapters:
    gateway: Served
    upstream: Sandbox
    store: CacheServer


@asynccontextmanager
async def opened(plan: Plan, settings: dict[str, Any]) -> AsyncIterator[Adapters]:
    """All processes of a run, which end with it."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="esmgw-chaos-")))
        upstream = await stack.enter_async_context(sandbox(directory, "--latency", str(LATENCY_S)))
        store = await stack.enter_async_context(cache_server(directory))
        words = ("--target", str(store.port), "--late-share", str(plan.late_share))
        proxy = await Child.start("-m", "bench.delaying", *words, log=directory / "proxy.log")
        stack.push_async_callback(proxy.stop)
        asked_for = {
            "listen.workers": plan.workers,
            "stores.cache_url": proxy.url,
            "secrets.master_file": str(_master(directory)),
            # Less than the hot answers take, so that some hits come from the store.
            "cache.local_answers_bytes": 4 * 2**20,
            **settings,
        }
        gateway = await stack.enter_async_context(serving(directory, upstream.url, USERS, asked_for))
        yield Adapters(gateway, upstream, store)


def _master(directory: Path) -> Path:
    path = directory / "master"
    path.touch(mode=0o600)
    path.write_bytes(b"a secret of this run alone" * 2)
    return path


async def killing(store: CacheServer, every_s: float, down_s: float) -> None:
    while every_s:
        await asyncio.sleep(every_s - down_s)
        await store.kill()
        await asyncio.sleep(down_s)
        await store.start()


async def telling(seen: CacheStats, store: CacheServer) -> None:
    while sys.stderr.isatty():
        await asyncio.sleep(1)
        click.echo(f"\r{seen.asked:,} asked, {store.kills} kills, {seen.wrong.total()} wrong ", nl=False, err=True)


async def measured(plan: Plan, settings: dict[str, Any]) -> dict[str, Any]:
    async with opened(plan, settings) as world:
        gateway = world.gateway
        workers = set(gateway.workers)
        questions = Questions(gateway.url, gateway.keys, plan.hot, plan.new, seed=1)
        crowd = Crowd(gateway.url, questions, plan.requests, plan.cancel, plan.mislead)
        tasks = [
            asyncio.create_task(killing(world.store, plan.kill_every_s, plan.down_s)),
            asyncio.create_task(telling(crowd.seen, world.store)),
        ]
        began = time.monotonic()
        try:
            seen = await crowd.run(plan.connections)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        seconds = time.monotonic() - began
        calls, left = await world.upstream.calls(), set(gateway.workers)
        return _as_json(plan, seen, seconds, calls["total"], world.store.kills, len(workers - left))


def _as_json(plan: Plan, seen: CacheStats, seconds: float, calls: int, kills: int, died: int) -> dict[str, Any]:
    return {
        "shape": SHAPE,
        "machine": machine(),
        "plan": asdict(plan),
        "seconds": round(seconds, 1),
        "requests_per_s": round(seen.asked / seconds),
        "upstream_calls": calls,
        "store_kills": kills,
        "workers_died": died,
        "wrong_answers": seen.wrong.total(),
        "answered": seen.statuses.total(),
        **{part.name: getattr(seen, part.name) for part in fields(seen)},
    }


def as_text(result: dict[str, Any]) -> str:
    def counts(name: str) -> str:
        return ", ".join(f"{key} {count:,}" for key, count in sorted(result[name].items())) or "none"

    lines = [
        ("requests", f"{result['asked']:,} in {result['seconds']:.0f} s ({result['requests_per_s']:,} a second)"),
        ("cancelled", f"{result['cancelled']:,} ({result['cancelled'] / result['asked']:.1%})"),
        ("answered", f"{result['answered']:,}: {counts('statuses')}"),
        ("the cache said", counts("cache")),
        ("problems", counts("problems")),
        ("lost connections", f"{result['lost']:,}, late {result['late']:,}"),
        ("upstream calls", f"{result['upstream_calls']:,}"),
        ("store kills", f"{result['store_kills']}, workers that died {result['workers_died']}"),
        ("answers checked", f"{result['checked']:,}" + (f", misled {result['misled']:,}" if result["misled"] else "")),
        ("wrong answers", f"{result['wrong_answers']:,}" + (f": {counts('wrong')}" if result["wrong"] else "")),
    ]
    return "\n".join(f"{name:17} {text}" for name, text in lines)


def kept_its_word(result: dict[str, Any]) -> bool:
    return not any(result[name] for name in ("wrong_answers", "lost", "late", "workers_died"))


def options(command: Any) -> Any:
    """One option for each member of Plan, the last written first, as decorators go."""
    rows: Sequence[tuple[str, Any, str]] = (
        ("requests", 20_000, ""),
        ("workers", 2, ""),
        ("connections", 64, ""),
        ("cancel", 0.3, "Share of requests that are cut off."),
        ("kill-every-s", 20.0, "0: never."),
        ("down-s", 1.0, "How long the store stays away."),
        ("hot", 3000, "Questions that are asked again and again."),
        ("new", 0.03, "Share of questions that nobody asked before."),
        ("late-share", 0.002, "Share of the store's replies that come later than anybody waits."),
        ("mislead", 0, "Hold every so-manieth answer against another question: it must be noticed."),
    )
    for name, default, text in reversed(rows):
        command = click.option(f"--{name}", default=default, show_default=True, help=text)(command)
    return command


@click.command()
@options
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the gateway.")
@click.option("--latest", is_flag=True, help="Also as chaos.json and in docs/performance.md: what is committed.")
def main(settings: tuple[str, ...], latest: bool, **numbers: Any) -> None:
    """Cancellations, a slow and dying cache store, and no wrong answer."""
    try:
        result = uvloop.run(measured(Plan(**numbers), parsed_settings(settings)))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    text = as_text(result)
    click.echo(text)
    click.echo(f"\nfigures in {figures.kept('chaos', result, text, latest=latest)}")
    if not kept_its_word(result):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
