"""`esm-gateway serve`, and what `demo` shares with it: how child processes are started, and how serving ends."""

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path

import click

import gateway
from gateway.cli.options import CommandError, CommandOptions, run, with_options
from gateway.settings import Settings
from gateway.wiring import SetupError
from gateway.wiring.service import ServedAt, ServiceOptions, lock_data_dir, serve_until_stopped


@click.command()
@with_options
@click.pass_context
def serve(ctx: click.Context, options: CommandOptions) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish the requests in progress; a second signal stops at once."""

    def announce(served_at: ServedAt) -> None:
        if options.as_json:
            options.show({"url": served_at.url, "metrics_url": served_at.metrics_url}, ())
        else:
            report(f"ready at {served_at.url}; metrics at {served_at.metrics_url}")

    ctx.exit(run_until_signal(_serve(options.settings(), ServiceOptions(worker_command, report, announce))))


async def _serve(settings: Settings, options: ServiceOptions) -> int:
    async with lock_data_dir(settings.data_dir) as lock:
        return await serve_until_stopped(settings, options, lock)


def this_program(*arguments: str) -> Sequence[str]:
    """The command line of this same program: from where it was loaded, not from the working directory (-P)."""
    safe_path = () if Path(gateway.__file__).parents[1] == Path.cwd() else ("-P",)
    return (sys.executable, *safe_path, "-m", "gateway", *arguments)


def worker_command(slot: int, listener: int, ready: int) -> Sequence[str]:
    """The command line of a worker, with the descriptors that it inherits."""
    return this_program("worker", "--slot", str(slot), "--listener", str(listener), "--ready", str(ready))


def reader_command(control: int, bodies: int, results: int) -> Sequence[str]:
    """The command line of a worker's reader process, with the descriptors that it inherits."""
    descriptors = ("--control", str(control), "--bodies", str(bodies), "--results", str(results))
    return this_program("reader", *descriptors)


def run_until_signal(work: Awaitable[int]) -> int:
    """The exit status; 0 where a signal cancelled the start."""
    try:
        return run(work)
    except asyncio.CancelledError:
        return 0
    except SetupError as error:
        raise CommandError(str(error)) from None


def report(sentence: str) -> None:
    """To the operator, on standard error."""
    click.echo(f"esm-gateway: {sentence}", err=True)
