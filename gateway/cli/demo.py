"""`esm-gateway demo`: a whole gateway in front of a stand-in upstream, with two virtual keys, on one directory."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import orjson

from gateway.cli.demo_files import DemoOptions, find_or_make_keys, remember_port, remembered_port, write_settings
from gateway.cli.demo_text import for_people
from gateway.cli.demo_upstream import HOST, DemoUpstream
from gateway.cli.serve import report, run_until_signal, worker_command
from gateway.settings import Settings, load_here
from gateway.wiring.service import ServedAt, ServiceOptions, free_port, lock_data_dir, serve_until_stopped


@click.command()
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option("--metrics-port", default=0, type=click.IntRange(0, 65535), help="0 (default): any free one.")
@click.option(
    "--data-dir",
    default=Path(".data/demo"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where everything of this demo is kept; the same one finds its keys, quotas and cache again.",
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@click.option(
    "--latency",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 600),
    help="Seconds that the stand-in takes for a call.",
)
@click.option("--units-per-day", type=click.IntRange(min=0), help="A ceiling for the ordinary key's user.")
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="Another ceiling for that user.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line once it is ready, for programs.")
@click.pass_context
def demo(
    ctx: click.Context,
    port: int,
    metrics_port: int,
    data_dir: Path,
    workers: int,
    latency: float,
    units_per_day: int | None,
    requests_per_minute: int | None,
    as_json: bool,
) -> None:
    """Run the gateway on embedded stores in front of a stand-in upstream, until SIGTERM or Ctrl-C."""
    wishes = DemoOptions(data_dir.absolute(), port, metrics_port, workers, units_per_day, requests_per_minute)
    ctx.exit(run_until_signal(_demo(wishes, latency, as_json)))


async def _demo(wishes: DemoOptions, latency_s: float, as_json: bool) -> int:
    async with lock_data_dir(wishes.directory) as place, _upstream(wishes.directory, latency_s) as upstream:
        settings = load_here(write_settings(wishes, upstream.url)).settings
        told: dict[str, object] = {"admin_url": None, "admin_key": None, "sandbox_url": upstream.url}

        async def prepare(opened: Settings) -> None:
            _, keys = await asyncio.gather(upstream.ensure(), find_or_make_keys(opened))
            told.update(keys)

        def announce(serving: ServedAt) -> None:
            told.update(url=serving.url, metrics_url=serving.metrics_url, pid=os.getpid())
            click.echo(orjson.dumps(told).decode() if as_json else for_people(told, wishes.directory))

        with (wishes.directory / "access.jsonl").open("ab") as access:
            plan = ServiceOptions(worker_command, report, announce, prepare, [upstream], access.fileno())
            return await serve_until_stopped(settings, plan, place)


@asynccontextmanager
async def _upstream(directory: Path, latency_s: float) -> AsyncIterator[DemoUpstream]:
    """On the port that it had before, if that is free: kept answers belong to the upstream's address."""
    upstream = DemoUpstream(await free_port(HOST, remembered_port(directory)), latency_s)
    remember_port(directory, upstream.port)
    try:
        yield upstream
    finally:
        await upstream.end()
