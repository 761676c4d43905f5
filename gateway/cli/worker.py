"""A worker of `serve`: started by the supervisor, never by a person. It ends when the supervisor does."""

import asyncio
import os
import signal
import socket

import click

from gateway.adapters import tether
from gateway.adapters.supervisor import GRACE_S, READY
from gateway.settings import Settings
from gateway.wiring import run_worker

try:
    from uvloop import run
except ImportError:  # Windows has no uvloop
    from asyncio import run  # type: ignore[assignment]


@click.command(hidden=True)
@click.option("--slot", type=int, required=True)
@click.option("--listener", type=int, required=True, help="The inherited socket.")
@click.option("--ready", type=int, required=True, help="The inherited pipe to say that we are ready.")
def worker(slot: int, listener: int, ready: int) -> None:
    """Serve calls on an inherited socket; settings come on standard input."""
    settings = Settings.model_validate_json(tether.brief())
    tether.tie(settings.listen.drain_s + GRACE_S)
    run(_work(settings, slot, socket.socket(fileno=listener), ready))


async def _work(settings: Settings, slot: int, listener: socket.socket, ready: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    def on_ready() -> None:
        os.write(ready, READY)
        os.close(ready)

    await run_worker(settings, slot, [listener], on_ready, stop)
