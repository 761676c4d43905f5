"""The sandbox upstream as a child of `demo`: like `python -m gateway.sandbox`, but it exits when the demo does."""

import click

from gateway.cli.options import SecondsRange
from gateway.sandbox.__main__ import serve
from gateway.wiring.process import exit_with_parent

try:
    from uvloop import run
except ImportError:  # Windows has no uvloop
    from asyncio import run  # type: ignore[assignment]

KILL_AFTER_S = 2.0


@click.command(hidden=True)
@click.option("--port", default=0, type=click.IntRange(0, 65535))
@click.option("--latency", default=0.0, type=SecondsRange(0, 600))
def sandbox(port: int, latency: float) -> None:
    """Serve the sandbox upstream for as long as standard input is open."""
    exit_with_parent(KILL_AFTER_S)
    run(serve("127.0.0.1", port, latency))
