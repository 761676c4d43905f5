"""What each limit has counted: of one user, or of everybody who has a key."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from gateway.cli.options import CommandOptions, run, table, with_options
from gateway.core.quota import Limit, LimitBook
from gateway.core.types import KeyRecord, Principal
from gateway.flow.admin_arguments import InvalidArgument
from gateway.wiring.command_services import CommandServices, open_services

MEANING = {"rate": "requests just now", "concurrency": "calls under way", "units": "units today (UTC)"}


@click.command()
@click.argument("user", required=False)
@with_options
def usage(options: CommandOptions, user: str | None) -> None:
    """What the limits of USER (or of everybody) have counted."""
    rows = run(_usage(options, user))
    head = ("USER", "LIMIT", "OF", "USED", "CEILING", "COUNTS")
    lines = table(
        head, [(row["user"], row["limit"], row["of"], row["used"], row["ceiling"], row["counts"]) for row in rows]
    )
    options.show(rows, lines)


def limits_of(book: LimitBook, keys: Sequence[KeyRecord]) -> Iterator[Limit]:
    """The limits that stand above one user's keys, each once."""
    seen: set[tuple[str, str]] = set()
    for key in keys:
        for limit in book.all(Principal(key)):
            if (limit.holder, limit.name) not in seen:
                seen.add((limit.holder, limit.name))
                yield limit


async def _usage(options: CommandOptions, user: str | None) -> list[Mapping[str, Any]]:
    async with open_services(options.settings()) as parts:
        keys = [key for key in await parts.key_admin.keys(user) if key.revoked is None]
        if user is not None and not keys:
            raise InvalidArgument("This user has no key in force; `keys list` shows who has.")
        users = sorted({key.user for key in keys})
        return [row for name in users for row in await _rows(parts, name, [key for key in keys if key.user == name])]


async def _rows(parts: CommandServices, user: str, keys: Sequence[KeyRecord]) -> list[Mapping[str, Any]]:
    counted = await parts.ledger.usage(user, tuple(limits_of(parts.book, keys)))
    return [
        {
            "user": user,
            "limit": each.limit.name,
            "of": "user" if each.limit.holder.startswith("u:") else each.limit.holder.removeprefix("k:"),
            "used": each.limit.burst - each.used if each.limit.kind == "rate" else each.used,
            "ceiling": each.limit.burst if each.limit.kind == "rate" else each.limit.amount,
            "counts": MEANING[each.limit.kind],
        }
        for each in counted
    ]
