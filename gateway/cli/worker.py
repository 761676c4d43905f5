"""A worker of `serve`: started by the supervisor, never by a person. It exits when the supervisor does."""

import asyncio
import signal
import socket
from functools import partial

import click

from gateway.cli.serve import reader_command
from gateway.settings import Settings
from gateway.wiring.process import receive_settings, report_ready
from gateway.wiring.worker import run_worker

try:
    from uvloop import run
except ImportError:  # Windows has no uvloop
    from asyncio import run  # type: ignore[assignment]

DESCRIPTOR = click.IntRange(0, 2**20)


@click.command(hidden=True)
@click.option("--slot", type=DESCRIPTOR, required=True)
@click.option("--listener", type=DESCRIPTOR, required=True, help="The inherited socket.")
@click.option("--ready", type=DESCRIPTOR, required=True, help="The inherited pipe on which to report ready.")
def worker(slot: int, listener: int, ready: int) -> None:
    """Serve requests on an inherited socket; reads its settings from standard input."""
    run(_serve(receive_settings(), slot, socket.socket(fileno=listener), ready))


async def _serve(settings: Settings, slot: int, listener: socket.socket, ready: int) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def stop_now() -> None:
        hurry.set()
        stop.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop_now)
    on_ready = partial(report_ready, ready)
    await run_worker(settings, slot, [listener], on_ready, stop, reader_command, hurry)
