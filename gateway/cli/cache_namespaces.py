"""Named namespaces: list, create, freeze and drop them, and carry frozen ones from gateway to gateway as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.atomic_files import pieces, write_atomically
from gateway.cli.options import CommandOptions, run, system_user, table, with_options
from gateway.cli.times import format_time
from gateway.core.types import Namespace
from gateway.flow.namespace_transfer import TransferResult
from gateway.flow.namespaces import NamespaceInfo
from gateway.wiring.command_services import open_services

BY = click.option("--by", default=system_user, help="Who does it, for the record; the system's user if left out.")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@click.command()
@with_options
def namespaces(options: CommandOptions) -> None:
    """All named namespaces with their state, what they hold, and their notes."""
    infos = run(_shelves(options))
    rows = [
        (
            info.namespace.name,
            info.state,
            f"{info.held.entries:,}",
            size(info.held.bytes),
            format_time(info.namespace.created),
            format_time(info.namespace.frozen),
            info.namespace.note,
        )
        for info in infos
    ]
    lines = table(("NAME", "STATE", "CALLS", "SIZE", "CREATED", "FROZEN", "NOTE"), rows)
    options.show([facts(info) for info in infos], lines if rows else ["There are none."])


@click.group()
def namespace() -> None:
    """Create, freeze, drop, export and import a named namespace."""


@namespace.command()
@click.argument("name")
@click.option("--note", default="", help="A remark, shown in lists.")
@BY
@with_options
def create(options: CommandOptions, name: str, note: str, by: str) -> None:
    """A live namespace: it keeps the first answer of every call that names it."""
    made = run(_create(options, name, note, by))
    lines = [
        f"The namespace {made.name} is live. Calls are recorded in it that say",
        f"  Cache-Control: namespace={made.name}",
        f"or that come with a key made with `keys create --namespace {made.name}`.",
    ]
    options.show(_described(made), lines)


@namespace.command()
@click.argument("name")
@BY
@with_options
def freeze(options: CommandOptions, name: str, by: str) -> None:
    """From now on it answers from what it holds, and from nothing else. There is no way back."""
    info = run(_freeze(options, name, by))
    sentence = (
        f"The namespace {name} is frozen since {format_time(info.namespace.frozen)}, with {info.held.entries:,} calls."
    )
    options.show(facts(info), [sentence])


@namespace.command()
@click.argument("name")
@BY
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_options
def drop(options: CommandOptions, name: str, by: str, yes: bool) -> None:
    """Forget a namespace with all it holds. Export it first if it may be wanted again."""
    if not yes:
        click.confirm(f"Forget the namespace {name} with all it holds?", abort=True, err=True)
    entries = run(_drop(options, name, by))
    options.show({"name": name, "entries": entries}, [f"The namespace {name} is gone, with {entries:,} calls."])


@namespace.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--flagged", is_flag=True, help="With the declared sequences of concern, which are left out otherwise.")
@BY
@with_options
def export(options: CommandOptions, name: str, file: Path, flagged: bool, by: str) -> None:
    """Write a frozen namespace into FILE: calls, answers and receipts, with a checksum; readable by its owner alone."""
    carried = run(_export(options, name, file, flagged, by))
    lines = [f"{file} holds {carried.entries:,} calls of the namespace {name}.", f"sha256  {carried.sha256}"]
    if carried.left_out:
        lines.append(f"{carried.left_out:,} declared sequences of concern are not in it; --flagged takes them in.")
    options.show({"file": str(file), **_carried(carried)}, lines)


@namespace.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--as", "name", help="Under this name; without it, the one in the file.")
@BY
@with_options
def load(options: CommandOptions, file: Path, name: str | None, by: str) -> None:
    """Read FILE into a new namespace, all of it or nothing. It is frozen."""
    carried = run(_load(options, file, name, by))
    made = carried.namespace.name
    lines = [f"The namespace {made} holds {carried.entries:,} calls and is frozen.", f"sha256  {carried.sha256}"]
    if carried.left_out:
        lines.append(f"{carried.left_out:,} declared sequences of concern had been left out when it was exported.")
    options.show({"file": str(file), **_carried(carried)}, lines)


def facts(info: NamespaceInfo) -> Mapping[str, Any]:
    """A namespace for programs."""
    held = {"entries": info.held.entries, "bytes": info.held.bytes}
    return {**_described(info.namespace), "state": info.state.value, **held}


def size(count: int) -> str:
    """12.3 MiB"""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:,.1f} {UNITS[unit]}" if unit else f"{count} B"


def _described(made: Namespace) -> Mapping[str, Any]:
    return {"name": made.name, "created": made.created, "frozen": made.frozen, "note": made.note}


def _carried(carried: TransferResult) -> Mapping[str, Any]:
    counts = {"entries": carried.entries, "left_out": carried.left_out, "sha256": carried.sha256}
    return {**_described(carried.namespace), **counts}


async def _shelves(options: CommandOptions) -> list[NamespaceInfo]:
    async with open_services(options.settings()) as parts:
        return list(await parts.namespaces.infos())


async def _create(options: CommandOptions, name: str, note: str, by: str) -> Namespace:
    async with open_services(options.settings()) as parts:
        return await parts.namespaces.create(name, note, by)


async def _freeze(options: CommandOptions, name: str, by: str) -> NamespaceInfo:
    async with open_services(options.settings()) as parts:
        return await parts.namespaces.freeze(name, by)


async def _drop(options: CommandOptions, name: str, by: str) -> int:
    async with open_services(options.settings()) as parts:
        return await parts.namespaces.drop(name, by)


async def _export(options: CommandOptions, name: str, file: Path, flagged: bool, by: str) -> TransferResult:
    async with open_services(options.settings()) as parts:
        with write_atomically(file) as write:
            return await parts.transfer.export(name, write, by, flagged=flagged)


async def _load(options: CommandOptions, file: Path, name: str | None, by: str) -> TransferResult:
    async with open_services(options.settings()) as parts:
        return await parts.transfer.load(lambda: pieces(file), name, by)
