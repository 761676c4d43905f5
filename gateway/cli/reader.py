"""The reader process of a worker: started by the worker, never by a person. It exits when the worker does."""

import click

from gateway.wiring.reader import run_reader

DESCRIPTOR = click.IntRange(0, 2**20)


@click.command(hidden=True)
@click.option("--control", type=DESCRIPTOR, required=True, help="The inherited socket.")
@click.option("--bodies", type=DESCRIPTOR, required=True, help="The inherited memory of bodies.")
@click.option("--results", type=DESCRIPTOR, required=True, help="The inherited memory of results.")
def reader(control: int, bodies: int, results: int) -> None:
    """Read large bodies for a worker; reads its settings from standard input."""
    run_reader(control, bodies, results)
