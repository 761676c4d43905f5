"""The cache: explain it, show its statistics, purge it; and its named namespaces."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

import click

from gateway.cli.cache_namespaces import facts, format_size, namespace, namespaces
from gateway.cli.explain import explain
from gateway.cli.options import CommandOptions, run, system_user, with_options
from gateway.cli.receipts import receipt, signing_key, verify
from gateway.cli.times import format_time, parse_span
from gateway.core.cache_plan import DEFAULT_NAMESPACE
from gateway.core.purge_state import PurgeState
from gateway.flow.namespaces import NamespaceInfo
from gateway.flow.purge import PurgeRequest
from gateway.wiring.command_services import open_services


@click.group()
def cache() -> None:
    """Explain, measure and purge the cache; manage named namespaces."""


cache.add_command(explain)
cache.add_command(receipt)
cache.add_command(verify)
cache.add_command(signing_key)
cache.add_command(namespaces)
cache.add_command(namespace)


@cache.command()
@with_options
def stats(options: CommandOptions) -> None:
    """Show the statistics of the cache store, the purges in force, and the namespaces."""
    counts, purge_state, infos = run(_stats(options))
    content = {"store": counts, "purges": asdict(purge_state), "namespaces": [facts(info) for info in infos]}
    options.show(content, [*_store_lines(counts), *_purge_lines(purge_state), *_namespace_lines(infos)])


@cache.command()
@click.option("--model", help="Only answers of this model.")
@click.option("--older-than", type=parse_span, help="Only answers computed longer ago than this: 12h, 30d, 4w.")
@click.option("--key", "cache_key", help="Only the answer with this cache key, as `cache explain` shows it.")
@click.option(
    "--namespace",
    "name",
    default=DEFAULT_NAMESPACE,
    help="Only answers in this live namespace; with --key, in any namespace.",
)
@click.option(
    "--soft", is_flag=True, help="Mark as stale: compute anew, but keep for stale-if-error while the upstream is down."
)
@click.option("--by", default=system_user, help="Who purges, for the audit record. Default: the system's user.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_options
def purge(
    options: CommandOptions,
    model: str | None,
    older_than: float | None,
    cache_key: str | None,
    name: str,
    soft: bool,
    by: str,
    yes: bool,
) -> None:
    """Purge cached answers for all workers, within a second: all of them, or those that the options select."""
    request = PurgeRequest(model, older_than, cache_key, name, soft)
    if not yes:
        click.confirm(f"{_sentence(request)}?", abort=True, err=True)
    entries = run(_purge(options, request, by))
    done = "Purged" if entries is None else f"Purged {entries:,} entries"
    options.show(
        {"purged": asdict(request), "entries": entries},
        [f"{done}; written to the audit record. Workers follow within a second."],
    )


def _sentence(request: PurgeRequest) -> str:
    if request.key is not None:
        return f"Purge the answer with this cache key from {_place(request)}"
    if request.namespace != DEFAULT_NAMESPACE:
        return f"Purge all answers from {_place(request)}"
    what = "every cached answer" + (f" of {request.model}" if request.model else "")
    age = "" if request.older_than_s is None else f" computed more than {request.older_than_s / 3600:g} hours ago"
    return f"Mark {what}{age} as stale" if request.soft else f"Purge {what}{age}"


def _place(request: PurgeRequest) -> str:
    return "the cache" if request.namespace == DEFAULT_NAMESPACE else f"the namespace {request.namespace}"


def _store_lines(counts: Mapping[str, int]) -> Iterator[str]:
    lookups = counts["hits"] + counts["misses"]
    yield "Cache store, since it was started"
    yield f"  entries   {counts['entries']:>14,}   cached answers, leases of calls in progress, purges, changes"
    yield f"  memory    {format_size(counts['bytes']):>14}   of the whole server"
    yield f"  hits      {counts['hits']:>14,}   of {lookups:,} look-ups, all keys; for the hit ratio see the dashboard"
    yield f"  expired   {counts['expired']:>14,}   by TTL"
    yield f"  evicted   {counts['evicted']:>14,}   for lack of memory; if many, raise stores.cache_mb or maxmemory"


def _purge_lines(purge_state: PurgeState) -> Iterator[str]:
    yield "Purges"
    yield f"  everything before {format_time(purge_state.epoch / 1e6)} (by a purge, or because the store was empty)"
    for model, times in sorted(purge_state.models.items()):
        yield f"  {model}: purged {times:,} times since then"
    if purge_state.purged_before:
        yield f"  everything computed before {format_time(purge_state.purged_before)}"
    if purge_state.keys:
        yield f"  {len(purge_state.keys):,} single answers"
    for model, moment in sorted(purge_state.stale.items()):
        yield f"  {model or 'all models'}: stale if computed before {format_time(moment)}"


def _namespace_lines(infos: list[NamespaceInfo]) -> Iterator[str]:
    entries, held = sum(info.contents.entries for info in infos), sum(info.contents.bytes for info in infos)
    yield "Namespaces, in the state store"
    yield f"  {len(infos)} with {entries:,} calls, {format_size(held)}; `cache namespaces` lists them"


async def _stats(options: CommandOptions) -> tuple[Mapping[str, int], PurgeState, list[NamespaceInfo]]:
    async with open_services(options.settings()) as services:
        return (
            await services.cache.stats(),
            await services.purge_store.purge_state(),
            list(await services.namespaces.infos()),
        )


async def _purge(options: CommandOptions, request: PurgeRequest, by: str) -> int | None:
    async with open_services(options.settings()) as services:
        return await services.purger.purge(request, by)
