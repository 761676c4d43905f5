"""Approvals to send declared sequences of concern: given by two people, expiring, revocable."""

from collections.abc import Sequence

import click

from gateway.cli.keys import approval_facts
from gateway.cli.options import CommandOptions, run, system_user, with_options
from gateway.cli.times import format_time, parse_time
from gateway.core.types import Approval
from gateway.wiring.command_services import open_services


@click.command()
@click.argument("user")
@click.option(
    "--by",
    "approvers",
    multiple=True,
    required=True,
    help="Who approves: two people, neither of them USER; give it twice.",
)
@click.option("--reason", required=True, help="The reason, for the audit record.")
@click.option(
    "--until",
    type=parse_time,
    required=True,
    help="When it expires: 30d, 2027-01-31 (the end of that day, UTC); at most a year.",
)
@click.option("--model", "models", multiple=True, help="Only for this model; without it, for every model.")
@with_options
def approve(
    options: CommandOptions, user: str, approvers: tuple[str, ...], reason: str, until: float, models: tuple[str, ...]
) -> None:
    """Approve that USER sends declared sequences of concern."""
    approval = run(_approve(options, user, approvers, reason, until, models or None))
    lines = [
        f"approval {approval.approval_id}",
        f"user     {user}, until {format_time(until)}, for {', '.join(models) or 'every model'}",
        f"by       {', '.join(approval.approved_by)}",
    ]
    options.show(approval_facts(approval), lines)


@click.command("revoke-approval")
@click.argument("user")
@click.option("--approval", "approval_id", help="Only this approval; without it, all that are in force.")
@click.option("--by", default=system_user, help="Who revokes, for the audit record. Default: the system's user.")
@with_options
def revoke_approval(options: CommandOptions, user: str, approval_id: str | None, by: str) -> None:
    """Revoke USER's approvals."""
    ended = run(_revoke(options, user, by, approval_id))
    options.show(
        [approval_facts(approval) for approval in ended],
        [f"approval {approval.approval_id} is revoked" for approval in ended],
    )


async def _approve(
    options: CommandOptions,
    user: str,
    approvers: tuple[str, ...],
    reason: str,
    until: float,
    models: tuple[str, ...] | None,
) -> Approval:
    async with open_services(options.settings()) as services:
        return await services.key_admin.approve(user, approvers, reason, until, models)


async def _revoke(options: CommandOptions, user: str, by: str, approval_id: str | None) -> Sequence[Approval]:
    async with open_services(options.settings()) as services:
        return await services.key_admin.revoke_approval(user, by, approval_id)
