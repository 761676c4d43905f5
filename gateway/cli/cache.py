"""The cache: what it would make of a body, what is in it, and how to forget all of it."""

from typing import Any

import click

from gateway import endpoints
from gateway.cli.shell import Shell, run, whoami, with_shell
from gateway.core.endpoint import Rules
from gateway.core.nouns import Call
from gateway.settings import Settings
from gateway.wiring import open_parts

NAMES = tuple(endpoint.name for endpoint in endpoints.ENDPOINTS)


@click.group()
def cache() -> None:
    """Explain, measure and empty the cache of answers."""


@cache.command()
@click.argument("file", type=click.File("rb"))
@click.option("--endpoint", "name", type=click.Choice(NAMES), default="generate_tensor", show_default=True)
@with_shell
def explain(shell: Shell, file: Any, name: str) -> None:
    """What the cache makes of the body in FILE ("-" for standard input): its digest, its class and why."""
    settings = shell.settings()
    endpoint = endpoints.find(f"/api/v1/{name}")
    assert endpoint is not None
    rules = Rules(settings.models, settings.request.max_tokens, settings.request.defaults)
    call = endpoint.parse(file.read(), "", rules)
    about = explanation(call, settings, endpoint.cacheable)
    shell.show(about, [f"{label:<12} {value}" for label, value in about.items() if value is not None])


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


def explanation(call: Call, settings: Settings, cacheable: bool) -> dict[str, Any]:
    """Why two bodies share an answer or do not, and what one call costs."""
    verdict = call.determinism
    return {
        "digest": call.canonical.hex(),
        "class": verdict.cls.value,
        "reason": verdict.reason,
        "remedy": verdict.remedy,
        "kept": settings.cache.enabled and cacheable and verdict.cls.value in settings.cache.classes,
        "units": call.units,
        "tokens": call.length,
        "flagged": call.flagged,
    }


async def _stats(shell: Shell) -> dict[str, int]:
    async with open_parts(shell.settings()) as parts:
        return dict(await parts.cache.stats())


async def _purge(shell: Shell, by: str) -> int:
    async with open_parts(shell.settings()) as parts:
        return await parts.administer.purge_cache(by)
