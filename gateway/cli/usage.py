"""How much of each limit is used: by one user, or by every user who has a key."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from gateway.cli.options import CommandOptions, run, table, with_options
from gateway.core.quota import Limit, LimitConfig
from gateway.core.types import KeyRecord, Principal
from gateway.flow.admin_arguments import InvalidArgument
from gateway.wiring.command_services import CommandServices, open_services

MEANING = {"rate": "requests of the burst", "concurrency": "concurrent calls", "units": "units today (UTC)"}


@click.command()
@click.argument("user", required=False)
@with_options
def usage(options: CommandOptions, user: str | None) -> None:
    """Show how much of each limit is used, by USER or by everybody."""
    rows = run(_usage(options, user))
    head = ("USER", "NAME", "OF", "USED", "LIMIT", "COUNTS")
    lines = table(
        head, [(row["user"], row["limit"], row["of"], row["used"], row["amount"], row["counts"]) for row in rows]
    )
    options.show(rows, lines)


def limits_of(limit_config: LimitConfig, keys: Sequence[KeyRecord]) -> Iterator[Limit]:
    """The limits of one user's keys, each once."""
    known: set[tuple[str, str]] = set()
    for key in keys:
        for limit in limit_config.all(Principal(key)):
            if (limit.holder, limit.name) not in known:
                known.add((limit.holder, limit.name))
                yield limit


async def _usage(options: CommandOptions, user: str | None) -> list[Mapping[str, Any]]:
    async with open_services(options.settings()) as services:
        keys = [key for key in await services.key_admin.keys(user) if key.revoked is None]
        if user is not None and not keys:
            raise InvalidArgument("This user has no valid key; `keys list` shows who has.")
        users = sorted({key.user for key in keys})
        return [row for name in users for row in await _rows(services, name, [key for key in keys if key.user == name])]


async def _rows(services: CommandServices, user: str, keys: Sequence[KeyRecord]) -> list[Mapping[str, Any]]:
    counted = await services.ledger.usage(user, tuple(limits_of(services.limit_config, keys)))
    return [
        {
            "user": user,
            "limit": each.limit.name,
            "of": "user" if each.limit.holder.startswith("u:") else each.limit.holder.removeprefix("k:"),
            "used": each.limit.burst - each.used if each.limit.kind == "rate" else each.used,
            "amount": each.limit.burst if each.limit.kind == "rate" else each.limit.amount,
            "counts": MEANING[each.limit.kind],
        }
        for each in counted
    ]
