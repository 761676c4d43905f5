"""Approvals to send declared sequences of concern: given by two people, for a time, and revocable."""

from collections.abc import Sequence

import click

from gateway.cli.keys import grant_facts
from gateway.cli.shell import Shell, run, whoami, with_shell
from gateway.cli.times import shown, when
from gateway.core.nouns import Grant
from gateway.wiring import open_parts


@click.command()
@click.argument("user")
@click.option("--by", "approvers", multiple=True, required=True, help="Who approves; give it twice, not the user.")
@click.option("--reason", required=True, help="Why, for the record.")
@click.option("--until", type=when, required=True, help="When it ends: 30d, 2027-01-31; at most a year.")
@click.option("--model", "models", multiple=True, help="Only for this model (repeat); without it: all.")
@with_shell
def approve(
    shell: Shell, user: str, approvers: tuple[str, ...], reason: str, until: float, models: tuple[str, ...]
) -> None:
    """Let USER send declared sequences of concern."""
    grant = run(_approve(shell, user, approvers, reason, until, models or None))
    lines = [
        f"approval {grant.grant_id}",
        f"user     {user}, until {shown(until)}, for {', '.join(models) or 'every model'}",
        f"by       {', '.join(grant.approved_by)}",
    ]
    shell.show(grant_facts(grant), lines)


@click.command("revoke-approval")
@click.argument("user")
@click.option("--approval", "grant_id", help="Only this one; without it all that are in force.")
@click.option("--by", default=whoami, help="Who revokes, for the record; the system's user if left out.")
@with_shell
def revoke_approval(shell: Shell, user: str, grant_id: str | None, by: str) -> None:
    """End USER's approvals."""
    ended = run(_revoke(shell, user, by, grant_id))
    shell.show([grant_facts(grant) for grant in ended], [f"approval {grant.grant_id} is revoked" for grant in ended])


async def _approve(
    shell: Shell, user: str, approvers: tuple[str, ...], reason: str, until: float, models: tuple[str, ...] | None
) -> Grant:
    async with open_parts(shell.settings()) as parts:
        return await parts.administer.approve(user, approvers, reason, until, models)


async def _revoke(shell: Shell, user: str, by: str, grant_id: str | None) -> Sequence[Grant]:
    async with open_parts(shell.settings()) as parts:
        return await parts.administer.revoke_approval(user, by, grant_id)
