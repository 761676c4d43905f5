"""Named namespaces: list, create, freeze and drop them, and carry frozen ones from gateway to gateway as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.shell import Shell, run, table, whoami, with_shell
from gateway.cli.times import shown
from gateway.cli.whole_files import pieces, written_whole
from gateway.core.nouns import Namespace
from gateway.flow.carry import Carried
from gateway.flow.curate import Shelf
from gateway.wiring import open_parts

BY = click.option("--by", default=whoami, help="Who does it, for the record; the system's user if left out.")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@click.command()
@with_shell
def namespaces(shell: Shell) -> None:
    """All named namespaces with their state, what they hold, and their notes."""
    shelves = run(_shelves(shell))
    rows = [
        (
            shelf.namespace.name,
            shelf.state,
            f"{shelf.held.entries:,}",
            size(shelf.held.bytes),
            shown(shelf.namespace.created),
            shown(shelf.namespace.frozen),
            shelf.namespace.note,
        )
        for shelf in shelves
    ]
    lines = table(("NAME", "STATE", "CALLS", "SIZE", "CREATED", "FROZEN", "NOTE"), rows)
    shell.show([facts(shelf) for shelf in shelves], lines if rows else ["There are none."])


@click.group()
def namespace() -> None:
    """Create, freeze, drop, export and import a named namespace."""


@namespace.command()
@click.argument("name")
@click.option("--note", default="", help="A remark, shown in lists.")
@BY
@with_shell
def create(shell: Shell, name: str, note: str, by: str) -> None:
    """A live namespace: it keeps the first answer of every call that names it."""
    made = run(_create(shell, name, note, by))
    lines = [
        f"The namespace {made.name} is live. Calls are recorded in it that say",
        f"  Cache-Control: namespace={made.name}",
        f"or that come with a key made with `keys create --namespace {made.name}`.",
    ]
    shell.show(_described(made), lines)


@namespace.command()
@click.argument("name")
@BY
@with_shell
def freeze(shell: Shell, name: str, by: str) -> None:
    """From now on it answers from what it holds, and from nothing else. There is no way back."""
    shelf = run(_freeze(shell, name, by))
    sentence = (
        f"The namespace {name} is frozen since {shown(shelf.namespace.frozen)}, with {shelf.held.entries:,} calls."
    )
    shell.show(facts(shelf), [sentence])


@namespace.command()
@click.argument("name")
@BY
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_shell
def drop(shell: Shell, name: str, by: str, yes: bool) -> None:
    """Forget a namespace with all it holds. Export it first if it may be wanted again."""
    if not yes:
        click.confirm(f"Forget the namespace {name} with all it holds?", abort=True, err=True)
    entries = run(_drop(shell, name, by))
    shell.show({"name": name, "entries": entries}, [f"The namespace {name} is gone, with {entries:,} calls."])


@namespace.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--flagged", is_flag=True, help="With the declared sequences of concern, which are left out otherwise.")
@BY
@with_shell
def export(shell: Shell, name: str, file: Path, flagged: bool, by: str) -> None:
    """Write a frozen namespace into FILE: calls, answers and receipts, with a checksum; readable by its owner alone."""
    carried = run(_export(shell, name, file, flagged, by))
    lines = [f"{file} holds {carried.entries:,} calls of the namespace {name}.", f"sha256  {carried.sha256}"]
    if carried.left_out:
        lines.append(f"{carried.left_out:,} declared sequences of concern are not in it; --flagged takes them in.")
    shell.show({"file": str(file), **_carried(carried)}, lines)


@namespace.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--as", "name", help="Under this name; without it, the one in the file.")
@BY
@with_shell
def load(shell: Shell, file: Path, name: str | None, by: str) -> None:
    """Read FILE into a new namespace, all of it or nothing. It is frozen."""
    carried = run(_load(shell, file, name, by))
    made = carried.namespace.name
    lines = [f"The namespace {made} holds {carried.entries:,} calls and is frozen.", f"sha256  {carried.sha256}"]
    if carried.left_out:
        lines.append(f"{carried.left_out:,} declared sequences of concern had been left out when it was exported.")
    shell.show({"file": str(file), **_carried(carried)}, lines)


def facts(shelf: Shelf) -> Mapping[str, Any]:
    """A namespace for programs."""
    held = {"entries": shelf.held.entries, "bytes": shelf.held.bytes}
    return {**_described(shelf.namespace), "state": shelf.state.value, **held}


def size(count: int) -> str:
    """12.3 MiB"""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:,.1f} {UNITS[unit]}" if unit else f"{count} B"


def _described(made: Namespace) -> Mapping[str, Any]:
    return {"name": made.name, "created": made.created, "frozen": made.frozen, "note": made.note}


def _carried(carried: Carried) -> Mapping[str, Any]:
    counts = {"entries": carried.entries, "left_out": carried.left_out, "sha256": carried.sha256}
    return {**_described(carried.namespace), **counts}


async def _shelves(shell: Shell) -> list[Shelf]:
    async with open_parts(shell.settings()) as parts:
        return list(await parts.curator.shelves())


async def _create(shell: Shell, name: str, note: str, by: str) -> Namespace:
    async with open_parts(shell.settings()) as parts:
        return await parts.curator.create(name, note, by)


async def _freeze(shell: Shell, name: str, by: str) -> Shelf:
    async with open_parts(shell.settings()) as parts:
        return await parts.curator.freeze(name, by)


async def _drop(shell: Shell, name: str, by: str) -> int:
    async with open_parts(shell.settings()) as parts:
        return await parts.curator.drop(name, by)


async def _export(shell: Shell, name: str, file: Path, flagged: bool, by: str) -> Carried:
    async with open_parts(shell.settings()) as parts:
        with written_whole(file) as write:
            return await parts.carrier.export(name, write, by, flagged=flagged)


async def _load(shell: Shell, file: Path, name: str | None, by: str) -> Carried:
    async with open_parts(shell.settings()) as parts:
        return await parts.carrier.load(lambda: pieces(file), name, by)
