"""The master secrets: what still needs another one than that which seals now."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from gateway.cli.options import CommandOptions, run, system_user, table, with_options
from gateway.core.sealing import every, key_id
from gateway.flow.secret_rotation import NotMoved
from gateway.settings import Settings, master_secret
from gateway.wiring.command_services import open_services


@click.group("secrets")
def secrets() -> None:
    """Replace the master secret, step by step (docs/operating.md)."""


@secrets.command()
@with_options
def status(options: CommandOptions) -> None:
    """List the masters by id, and what has not moved to the one that seals.

    Receipts and audit records are not listed: those made with another master can be verified as long as its file is
    named in the settings.
    """
    settings = options.settings()
    masters = _masters(settings)
    left = run(_not_moved(settings))
    lines = table(("MASTER", "FILE", "ROLE"), [(each["id"], each["file"], each["role"]) for each in masters])
    rest = table(
        ("NOT MOVED", "NAME", "CALLS", "MOVES"), [(each.kind, each.name, _calls(each), each.moves) for each in left]
    )
    content = {"masters": masters, "not_moved": [asdict(each) for each in left]}
    options.show(content, [*lines, "", *(rest if left else ["Everything is made with the master that seals."])])


@secrets.command()
@click.option("--by", default=system_user, help="Who does it, for the audit record. Default: the system's user.")
@with_options
def move(options: CommandOptions, by: str) -> None:
    """Seal again with the present master what another one had sealed, and re-address the calls of namespaces.

    Virtual keys move by themselves, each at its next use. This can be repeated, also while gateways run.
    """
    settings = options.settings()
    count = run(_move(settings, by))
    options.show({"moved": count}, [f"{count:,} records moved. `secrets status` lists what has not."])


def _masters(settings: Settings) -> Sequence[dict[str, str]]:
    files = [settings.master_file, *settings.secrets.other_master_files]
    masters = every(master_secret(settings))
    return [
        {"id": key_id(bytes(master)).hex(), "file": str(file), "role": "seals and reads" if at == 0 else "reads"}
        for at, (master, file) in enumerate(zip(masters, files, strict=True))
    ]


def _calls(each: NotMoved) -> int | None:
    return None if each.count == 1 and "calls" not in each.kind else each.count


async def _not_moved(settings: Settings) -> list[NotMoved]:
    async with open_services(settings) as services:
        return await services.secret_rotation.not_moved()


async def _move(settings: Settings, by: str) -> int:
    async with open_services(settings) as services:
        return await services.secret_rotation.move(by, key_id(bytes(master_secret(settings))).hex())
