"""Named namespaces: list, create, freeze, drop; export frozen ones to files and import them elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.atomic_files import read_chunks, write_atomically
from gateway.cli.options import CommandOptions, run, system_user, table, with_options
from gateway.cli.receipts import read_key
from gateway.cli.times import format_time
from gateway.core.receipts import short, told
from gateway.core.signatures import public_text
from gateway.core.types import Namespace
from gateway.flow.namespace_transfer import RecordedReceipt, TransferResult
from gateway.flow.namespaces import NamespaceInfo
from gateway.wiring.command_services import open_services

BY = click.option("--by", default=system_user, help="Who does it, for the audit record. Default: the system's user.")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@click.command()
@with_options
def namespaces(options: CommandOptions) -> None:
    """List all named namespaces with their state, size and note."""
    infos = run(_list(options))
    rows = (
        (
            info.namespace.name,
            info.state,
            f"{info.contents.entries:,}",
            format_size(info.contents.bytes),
            format_time(info.namespace.created),
            format_time(info.namespace.frozen),
            info.namespace.note,
        )
        for info in infos
    )
    lines = table(("NAME", "STATE", "CALLS", "SIZE", "CREATED", "FROZEN", "NOTE"), rows)
    options.show([facts(info) for info in infos], lines if infos else ["There are no namespaces."])


@click.group()
def namespace() -> None:
    """Create, freeze, drop, export and import a named namespace."""


@namespace.command()
@click.argument("name")
@click.option("--note", default="", help="A note, shown in lists.")
@BY
@with_options
def create(options: CommandOptions, name: str, note: str, by: str) -> None:
    """Create a live namespace: it stores the first answer of every call that names it."""
    made = run(_create(options, name, note, by))
    lines = [
        f"The namespace {made.name} is live. It records the calls that send",
        f"  Cache-Control: namespace={made.name}",
        f"or that use a key created with `keys create --namespace {made.name}`.",
    ]
    options.show(_namespace_facts(made), lines)


@namespace.command()
@click.argument("name")
@BY
@with_options
def freeze(options: CommandOptions, name: str, by: str) -> None:
    """Freeze a namespace: it answers from its entries, and nothing is added. This cannot be undone."""
    info = run(_freeze(options, name, by))
    since, calls = format_time(info.namespace.frozen), info.contents.entries
    sentence = f"The namespace {name} is frozen since {since}, with {calls:,} calls."
    options.show(facts(info), [sentence])


@namespace.command()
@click.argument("name")
@BY
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_options
def drop(options: CommandOptions, name: str, by: str, yes: bool) -> None:
    """Delete a namespace and all its entries. Export it first if it may be needed again."""
    if not yes:
        click.confirm(f"Delete the namespace {name} and all its entries?", abort=True, err=True)
    entries = run(_drop(options, name, by))
    options.show({"name": name, "entries": entries}, [f"The namespace {name} was deleted, with {entries:,} calls."])


@namespace.command("receipts")
@click.argument("name")
@with_options
def list_receipts(options: CommandOptions, name: str) -> None:
    """List the receipts of all recorded answers; `cited as` is what the gateway that exported them issued."""
    found = run(_receipts(options, name))
    rows = [
        (
            short(each.identifier),
            _cited(each),
            each.endpoint,
            each.sample,
            each.receipt.cls,
            format_time(each.receipt.computed),
        )
        for each in found
    ]
    lines = table(("RECEIPT", "CITED AS", "ENDPOINT", "SAMPLE", "CLASS", "COMPUTED"), rows)
    content = [
        {**told(each.receipt, each.identifier), "endpoint": each.endpoint, "pool": each.pool, "sample": each.sample}
        for each in found
    ]
    options.show(content, lines if rows else ["The namespace is empty."])


@namespace.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--flagged", is_flag=True, help="Include declared sequences of concern, which are omitted otherwise.")
@BY
@with_options
def export(options: CommandOptions, name: str, file: Path, flagged: bool, by: str) -> None:
    """Export a frozen namespace to FILE: calls, answers and receipts, signed; only the owner can read it."""
    result = run(_export(options, name, file, flagged, by))
    lines = [
        f"{file} holds {result.entries:,} calls of the namespace {name}.",
        f"sha256  {result.sha256}",
        f"signed  {public_text(result.signer)}",
    ]
    if result.omitted:
        lines.append(f"{result.omitted:,} declared sequences of concern were omitted; --flagged includes them.")
    options.show({"file": str(file), **_result_facts(result)}, lines)


@namespace.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--as", "name", help="The name of the new namespace. Default: the name in the file.")
@click.option("--trust", "keys", multiple=True, help="A public key to trust beside those in cache.trusted_signers.")
@click.option("--unverified", is_flag=True, help="Import a file without a trusted signature; receipts then say so.")
@BY
@with_options
def load(
    options: CommandOptions, file: Path, name: str | None, keys: tuple[str, ...], unverified: bool, by: str
) -> None:
    """Import FILE into a new namespace, which is frozen: all of it or nothing."""
    trust = frozenset(map(read_key, keys))
    result = run(_load(options, file, name, by, trust, unverified))
    made, signed = result.namespace.name, public_text(result.signer) if result.signer else "not signed"
    lines = [
        f"The namespace {made} holds {result.entries:,} calls and is frozen.",
        f"sha256  {result.sha256}",
        f"signed  {signed}" + ("" if result.trusted or not result.signer else " (not trusted)"),
    ]
    if result.omitted:
        lines.append(f"{result.omitted:,} declared sequences of concern were omitted from the export.")
    options.show({"file": str(file), **_result_facts(result)}, lines)


def facts(info: NamespaceInfo) -> Mapping[str, Any]:
    """A namespace as JSON."""
    held = {"entries": info.contents.entries, "bytes": info.contents.bytes}
    return {**_namespace_facts(info.namespace), "state": info.state.value, **held}


def format_size(count: int) -> str:
    """12.3 MiB"""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:,.1f} {UNITS[unit]}" if unit else f"{count} B"


def _namespace_facts(made: Namespace) -> Mapping[str, Any]:
    return {"name": made.name, "created": made.created, "frozen": made.frozen, "note": made.note}


def _result_facts(result: TransferResult) -> Mapping[str, Any]:
    counts = {"entries": result.entries, "omitted": result.omitted, "sha256": result.sha256}
    signed_by = public_text(result.signer) if result.signer else None
    return {**_namespace_facts(result.namespace), **counts, "signed_by": signed_by, "trusted": result.trusted}


def _cited(each: RecordedReceipt) -> str | None:
    return None if each.receipt.imported is None else each.receipt.imported.issued


async def _receipts(options: CommandOptions, name: str) -> list[RecordedReceipt]:
    async with open_services(options.settings()) as services:
        return await services.transfer.receipts(name)


async def _list(options: CommandOptions) -> list[NamespaceInfo]:
    async with open_services(options.settings()) as services:
        return list(await services.namespaces.infos())


async def _create(options: CommandOptions, name: str, note: str, by: str) -> Namespace:
    async with open_services(options.settings()) as services:
        return await services.namespaces.create(name, note, by)


async def _freeze(options: CommandOptions, name: str, by: str) -> NamespaceInfo:
    async with open_services(options.settings()) as services:
        return await services.namespaces.freeze(name, by)


async def _drop(options: CommandOptions, name: str, by: str) -> int:
    async with open_services(options.settings()) as services:
        return await services.namespaces.drop(name, by)


async def _export(options: CommandOptions, name: str, file: Path, flagged: bool, by: str) -> TransferResult:
    async with open_services(options.settings()) as services:
        with write_atomically(file) as write:
            return await services.transfer.export(name, write, by, flagged=flagged)


async def _load(
    options: CommandOptions, file: Path, name: str | None, by: str, trust: frozenset[bytes], unverified: bool
) -> TransferResult:
    async with open_services(options.settings()) as services:
        return await services.transfer.load(lambda: read_chunks(file), name, by, trust=trust, unverified=unverified)
