"""The cache: what it would make of a body, what it holds, how to make it forget, and its named namespaces."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

import click

from gateway.cli.cache_namespaces import facts, namespace, namespaces, size
from gateway.cli.explain import explain, receipt
from gateway.cli.options import CommandOptions, run, system_user, with_options
from gateway.cli.times import format_time, parse_span
from gateway.core.cache_plan import DEFAULT
from gateway.core.purge_state import PurgeState
from gateway.flow.namespaces import NamespaceInfo
from gateway.flow.purge import PurgeRequest
from gateway.wiring.command_services import open_services


@click.group()
def cache() -> None:
    """Explain, measure and purge the cache of answers; keep named namespaces."""


cache.add_command(explain)
cache.add_command(receipt)
cache.add_command(namespaces)
cache.add_command(namespace)


@cache.command()
@with_options
def stats(options: CommandOptions) -> None:
    """What is kept: the cache store's own numbers, what purges have left, and the namespaces."""
    counts, purge_state, infos = run(_stats(options))
    content = {"store": counts, "purges": asdict(purge_state), "namespaces": [facts(info) for info in infos]}
    options.show(content, [*_of_store(counts), *_of_marks(purge_state), *_of_shelves(infos)])


@cache.command()
@click.option("--model", help="Only answers of this model.")
@click.option("--older-than", type=parse_span, help="Only answers computed longer ago than this: 12h, 30d, 4w.")
@click.option("--key", "cache_key", help="Only the answer with this cache key, as `cache explain` shows it.")
@click.option("--namespace", "name", default=DEFAULT, help="What a live namespace holds; with --key, of any namespace.")
@click.option("--soft", is_flag=True, help="Compute anew, but keep the old answers for when the upstream is down.")
@click.option("--by", default=system_user, help="Who does it, for the record; the system's user if left out.")
@click.option("--yes", is_flag=True, help="Do not ask.")
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
    """Forget kept answers, at once and for every worker; all of them, unless options say which."""
    order = PurgeRequest(model, older_than, cache_key, name, soft)
    if not yes:
        click.confirm(f"{_sentence(order)}?", abort=True, err=True)
    entries = run(_purge(options, order, by))
    done = "Done, and on record" if entries is None else f"Done, and on record: {entries:,} forgotten"
    options.show({"purged": asdict(order), "entries": entries}, [f"{done}. Workers follow within a second."])


def _sentence(order: PurgeRequest) -> str:
    if order.key is not None:
        return f"Forget the answer with this key in {_place(order)}"
    if order.namespace != DEFAULT:
        return f"Forget all that {_place(order)} holds"
    act = "Count as stale" if order.soft else "Forget"
    what = "every kept answer" + (f" of {order.model}" if order.model else "")
    age = "" if order.older_than_s is None else f" computed more than {order.older_than_s / 3600:g} hours ago"
    return f"{act} {what}{age}"


def _place(order: PurgeRequest) -> str:
    return "the cache" if order.namespace == DEFAULT else f"the namespace {order.namespace}"


def _of_store(counts: Mapping[str, int]) -> Iterator[str]:
    looked = counts["hits"] + counts["misses"]
    yield "Kept answers, as the cache store counts since it was started"
    yield f"  entries   {counts['entries']:>14,}   answers, leases of calls under way, the marks of purges"
    yield f"  memory    {size(counts['bytes']):>14}   of the whole server"
    yield f"  found     {counts['hits']:>14,}   of {looked:,} look-ups, those for marks too; hit ratio: dashboard"
    yield f"  expired   {counts['expired']:>14,}   their time was over"
    yield f"  evicted   {counts['evicted']:>14,}   thrown out to make room; many: raise stores.cache_mb, or maxmemory"


def _of_marks(purge_state: PurgeState) -> Iterator[str]:
    yield "Purges"
    yield f"  all forgotten that was computed before {format_time(purge_state.epoch / 1e6)} (a purge, or an empty store)"
    for model, times in sorted(purge_state.models.items()):
        yield f"  {model}: forgotten since then, purges: {times:,}"
    if purge_state.purged_before:
        yield f"  forgotten what was computed before {format_time(purge_state.purged_before)}"
    for model, moment in sorted(purge_state.stale.items()):
        yield f"  {model or 'all models'}: stale what was computed before {format_time(moment)}"


def _of_shelves(infos: list[NamespaceInfo]) -> Iterator[str]:
    entries, held = sum(info.held.entries for info in infos), sum(info.held.bytes for info in infos)
    yield "Namespaces, in the state store"
    yield f"  {len(infos)} with {entries:,} calls, {size(held)}; `cache namespaces` lists them"


async def _stats(options: CommandOptions) -> tuple[Mapping[str, int], PurgeState, list[NamespaceInfo]]:
    async with open_services(options.settings()) as parts:
        return await parts.cache.stats(), await parts.purge_store.purge_state(), list(await parts.namespaces.infos())


async def _purge(options: CommandOptions, order: PurgeRequest, by: str) -> int | None:
    async with open_services(options.settings()) as parts:
        return await parts.purger.purge(order, by)
