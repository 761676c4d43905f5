"""The state store, held against what this machine remembers of it: is it the known one, and may it be used again?"""

from typing import Any

import click

from gateway.cli.options import CommandOptions, run, system_user, with_options
from gateway.settings import Settings
from gateway.wiring.command_services import open_services


@click.group()
def state() -> None:
    """Compare the state store with what this machine remembers of it, and accept one that has lost something."""


@state.command()
@with_options
def status(options: CommandOptions) -> None:
    """Say whether new requests are admitted, and why not."""
    about = run(_status(options.settings()))
    closed = about["closed"]
    lines = [
        f"Nothing new is admitted: {closed}." if closed else "The state store is the known one.",
        f"{about['decisions']} decisions are known (keys revoked, approvals ended, namespaces frozen).",
    ]
    options.show(about, lines)


@state.command()
@click.option("--by", default=system_user, help="Who accepts it, for the audit record. Default: the system's user.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_options
def accept(options: CommandOptions, by: str, yes: bool) -> None:
    """Admit new requests on a state store that has lost keys or decisions. Look for a newer back-up before.

    Decisions that are known hold on. An audit record without a stored head is accepted as well.
    """
    if not yes:
        click.confirm("Go on with this state store, whatever it has lost?", abort=True, err=True)
    why = run(_accept(options.settings(), by))
    told = f"Accepted, and on record: {why}." if why else "The state store is the known one; nothing was changed."
    options.show({"accepted": why}, [told])


async def _status(settings: Settings) -> dict[str, Any]:
    async with open_services(settings) as services:
        await services.guard.look()
        marks = services.guard.marks
        return {
            "closed": services.guard.closed,
            "decisions": len(marks.decisions),
            "number": marks.number,
            "gaps": list(marks.gaps()),
            "keys": marks.keys,
        }


async def _accept(settings: Settings, by: str) -> str:
    async with open_services(settings) as services:
        await services.guard.look()
        why = services.guard.closed
        if why:
            await services.audit.accept(by, **services.ran_by)
            await services.guard.accept(by)
        return why
