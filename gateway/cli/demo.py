"""`esm-gateway demo`: a whole gateway in front of a sandbox upstream, with two virtual keys, in one directory."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import orjson

from gateway.cli.demo_files import DemoOptions, find_or_make_keys, remember_ports, remembered_ports, write_settings
from gateway.cli.demo_text import for_people
from gateway.cli.demo_upstream import HOST, DemoUpstream
from gateway.cli.options import SecondsRange
from gateway.cli.serve import report, run_until_signal, worker_command
from gateway.core.quota import MAX_AMOUNT
from gateway.settings import Settings, load_here
from gateway.wiring.service import ServedAt, ServiceOptions, free_port, lock_data_dir, serve_until_stopped


@click.command()
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option(
    "--metrics-port",
    default=0,
    type=click.IntRange(0, 65535),
    help="0 (default): the one of the last start, else any free one.",
)
@click.option(
    "--data-dir",
    default=Path(".data/demo"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where this demo stores everything; started again on it, it finds its keys, quotas and cache.",
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@click.option(
    "--latency",
    default=0.0,
    show_default=True,
    type=SecondsRange(0, 600),
    help="Seconds that the sandbox upstream takes for a call.",
)
@click.option("--units-per-day", type=click.IntRange(0, MAX_AMOUNT), help="Units a day of the ordinary key's user.")
@click.option("--requests-per-minute", type=click.IntRange(1, MAX_AMOUNT), help="Requests a minute of that user.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready, for programs.")
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
    """Run the gateway on embedded stores in front of a sandbox upstream, until SIGTERM or Ctrl-C."""
    options = DemoOptions(data_dir.absolute(), port, metrics_port, workers, units_per_day, requests_per_minute)
    ctx.exit(run_until_signal(_demo(options, latency, as_json)))


async def _demo(options: DemoOptions, latency_s: float, as_json: bool) -> int:
    async with lock_data_dir(options.directory) as place, _upstream(options, latency_s) as (upstream, metrics_port):
        settings = load_here(write_settings(options, upstream.url, metrics_port)).settings
        facts: dict[str, object] = {"admin_url": None, "admin_key": None, "sandbox_url": upstream.url}

        async def prepare(opened: Settings) -> None:
            _, keys = await asyncio.gather(upstream.ensure(), find_or_make_keys(opened))
            facts.update(keys)

        def announce(serving: ServedAt) -> None:
            facts.update(url=serving.url, metrics_url=serving.metrics_url, pid=os.getpid())
            click.echo(orjson.dumps(facts).decode() if as_json else for_people(facts, options.directory))

        with (options.directory / "access.jsonl").open("ab") as access:
            plan = ServiceOptions(worker_command, report, announce, prepare, [upstream], access.fileno())
            return await serve_until_stopped(settings, plan, place)


@asynccontextmanager
async def _upstream(options: DemoOptions, latency_s: float) -> AsyncIterator[tuple[DemoUpstream, int]]:
    """The sandbox upstream and the port of the metrics: where they were at the last start, if those ports are free.

    The upstream's address is part of every cache key, and Prometheus is configured with the metrics port.
    """
    last = remembered_ports(options.directory)
    upstream = DemoUpstream(await free_port(HOST, last.get("sandbox", 0)), latency_s)
    metrics_port = options.metrics_port or await free_port(HOST, last.get("metrics", 0))
    remember_ports(options.directory, {"sandbox": upstream.port, "metrics": metrics_port})
    try:
        yield upstream, metrics_port
    finally:
        await upstream.end()
