"""The cache: what it would make of a body, what is in it, and how to forget all of it."""

import click

from gateway.cli.explain import explain, receipt
from gateway.cli.shell import Shell, run, whoami, with_shell
from gateway.wiring import open_parts


@click.group()
def cache() -> None:
    """Explain, measure and empty the cache of answers."""


cache.add_command(explain)
cache.add_command(receipt)


@cache.command()
@with_shell
def stats(shell: Shell) -> None:
    """Entries, bytes and look-ups, as the cache's server counts them."""
    counts = run(_stats(shell))
    shell.show(counts, [f"{name:<8} {value:>14,}" for name, value in counts.items()])


@cache.command()
@click.option("--by", default=whoami, help="Who does it, for the record; the system's user if left out.")
@click.confirmation_option(prompt="Forget every kept answer?")
@with_shell
def purge(shell: Shell, by: str) -> None:
    """Forget every kept answer, at once and for every worker."""
    epoch = run(_purge(shell, by))
    shell.show({"epoch": epoch}, [f"The cache is empty (purge {epoch})."])


async def _stats(shell: Shell) -> dict[str, int]:
    async with open_parts(shell.settings()) as parts:
        return dict(await parts.cache.stats())


async def _purge(shell: Shell, by: str) -> int:
    async with open_parts(shell.settings()) as parts:
        return await parts.administer.purge_cache(by)
