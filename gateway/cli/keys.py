"""Virtual keys: create, list, show, revoke."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from gateway.cli.options import CommandError, CommandOptions, run, system_user, table, with_options
from gateway.cli.times import format_time, parse_time
from gateway.core.quota import MAX_AMOUNT
from gateway.core.types import Approval, CacheScope, KeyRecord, Limits
from gateway.flow.key_admin import SHARES, NewKey
from gateway.wiring.command_services import open_services

LIMIT = click.IntRange(1, MAX_AMOUNT)
LEAK_BYTES = 2**20


@click.group()
def keys() -> None:
    """Create, list, show and revoke virtual keys."""


@keys.command()
@click.option("--user", required=True, help="The user who gets the key.")
@click.option("--team", default="default", show_default=True, help="The user's team.")
@click.option("--model", "models", multiple=True, help="A model that the key may use; without it, every model.")
@click.option(
    "--expires",
    type=parse_time,
    help="When the key expires: 30d, 12h, 2027-01-31 (the end of that day, UTC); at most ten years.",
)
@click.option("--label", default="", help="A note, shown in lists.")
@click.option("--requests-per-minute", type=LIMIT, help="Requests per minute, for this key alone.")
@click.option("--burst", type=LIMIT, help="Requests at once, of those per minute. Default: all of them.")
@click.option("--concurrent", type=LIMIT, help="Concurrent calls.")
@click.option("--units-per-day", type=click.IntRange(0, MAX_AMOUNT), help="Units per UTC day.")
@click.option("--cache-classes", help='Determinism classes cached for it, such as "exact,pinned"; "none" for none.')
@click.option(
    "--cache-share",
    type=click.Choice(SHARES),
    help="Who shares its cached answers; never wider than `cache.share` in the settings.",
)
@click.option(
    "--cache-control", help='Cache-Control directives that it may send, such as "no-cache,max-age"; "none" for none.'
)
@click.option("--namespace", help="The namespace for requests that name none.")
@click.option("--by", default=system_user, help="Who creates it, for the audit record. Default: the system's user.")
@with_options
def create(
    options: CommandOptions,
    user: str,
    team: str,
    models: tuple[str, ...],
    expires: float | None,
    label: str,
    by: str,
    cache_classes: str | None,
    cache_share: str | None,
    cache_control: str | None,
    namespace: str | None,
    **limits: int | None,
) -> None:
    """Create a key. The key is shown once and cannot be retrieved later."""
    if sys.stdout is None:
        raise CommandError("There is no standard output on which the key could be shown, so none was created.")
    scope = CacheScope(_listed(cache_classes), cache_share, _listed(cache_control), namespace)
    cache = None if scope == CacheScope() else scope
    new_key = NewKey(user, team, models or None, expires, Limits(**limits), label, cache)
    record, text = run(_create(options, new_key, by))
    lines = [
        f"key      {text}",
        f"id       {record.public_id}",
        f"user     {user} (team {team})",
        f"expires  {format_time(expires) or 'never'}",
        *scope_lines(record),
        "The key is shown only this once.",
    ]
    done = f"The key {record.public_id} was created, but nobody has seen it; revoke it and create another."
    options.show({"key": text, **facts(record)}, lines, done=done)


@keys.command("list")
@click.option("--user", help="Only this user's keys.")
@with_options
def list_keys(options: CommandOptions, user: str | None) -> None:
    """List all keys, oldest first."""
    records = run(_list(options, user))
    head = ("ID", "USER", "TEAM", "STATE", "CREATED", "EXPIRES", "NAMESPACE", "LABEL")
    rows = (
        (
            key.public_id,
            key.user,
            key.team,
            state(key),
            format_time(key.created),
            format_time(key.expires),
            _namespace(key),
            key.label,
        )
        for key in records
    )
    options.show([facts(key) for key in records], table(head, rows))


@keys.command()
@click.argument("key_id")
@with_options
def show(options: CommandOptions, key_id: str) -> None:
    """Show one key, its limits and its user's approvals."""
    record, approvals = run(_show(options, key_id))
    about = {**facts(record), "approvals": [approval_facts(approval) for approval in approvals]}
    options.show(about, _format(record, approvals))


@keys.command()
@click.argument("key_id", nargs=-1)
@click.option("--by", default=system_user, help="Who revokes it, for the audit record. Default: the system's user.")
@with_options
def revoke(options: CommandOptions, key_id: tuple[str, ...], by: str) -> None:
    """Revoke a key. Every worker refuses it within two seconds.

    KEY_ID is its id, or any text that shows the key or its id, such as the line in which it was leaked; without it, or
    with "-", the text is read from standard input. The key is not shown again.
    """
    text = _leak() if key_id in ((), ("-",)) else " ".join(key_id)
    record, ended_now = run(_revoke(options, text, by))
    when = f"at {format_time(record.revoked)}" if ended_now else f"already, at {format_time(record.revoked)}"
    done = f"Key {record.public_id} of {record.user} was revoked {when}."
    options.show(facts(record), [done], done=done)


def _leak() -> str:
    """What shows the key: asked for at a terminal, without echo; else all of standard input."""
    if sys.stdin is None:
        raise CommandError("There is no standard input; name the key's id.")
    if sys.stdin.isatty():
        asked: str = click.prompt("The key, its id, or a text that shows it (not shown)", hide_input=True, err=True)
        return asked
    return sys.stdin.buffer.read(LEAK_BYTES).decode(errors="replace")


def facts(record: KeyRecord) -> Mapping[str, Any]:
    """A key as JSON: everything but its digest."""
    about = asdict(record)
    del about["digest"]
    return {**about, "state": state(record)}


def scope_lines(record: KeyRecord) -> list[str]:
    """How the cache is restricted for a key."""
    if record.cache is None:
        return []
    restrictions = {
        "classes": record.cache.classes,
        "shares with": record.cache.share,
        "Cache-Control": record.cache.directives,
        "namespace": record.cache.namespace,
    }
    texts = (f"{name} {_words(value)}" for name, value in restrictions.items() if value is not None)
    return [f"cache    {'; '.join(texts)}"]


def _namespace(record: KeyRecord) -> str | None:
    return None if record.cache is None else record.cache.namespace


def _words(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value) or "none"


def _listed(text: str | None) -> tuple[str, ...] | None:
    """Comma-separated words; "none" is an empty list."""
    if text is None:
        return None
    words = (word.strip().lower() for word in text.split(","))
    return () if text.strip().lower() == "none" else tuple(dict.fromkeys(word for word in words if word))


def approval_facts(approval: Approval) -> Mapping[str, Any]:
    return asdict(approval)


def state(record: KeyRecord) -> str:
    if record.revoked is not None:
        return "revoked"
    return "expired" if record.expires is not None and record.expires <= datetime.now(UTC).timestamp() else "valid"


def _format(record: KeyRecord, approvals: tuple[Approval, ...]) -> Iterator[str]:
    limits = [f"{name} {value}" for name, value in asdict(record.limits).items() if value is not None]
    lines = [
        f"id       {record.public_id} ({state(record)})",
        f"user     {record.user} (team {record.team})",
        f"created  {format_time(record.created)}",
        f"expires  {format_time(record.expires) or 'never'}",
        f"models   {', '.join(record.models or ()) or 'all'}",
        f"limits   {', '.join(limits) or 'those of the user'}",
        *scope_lines(record),
    ]
    lines += [f"revoked  {format_time(record.revoked)}"] if record.revoked is not None else []
    yield from lines
    yield from map(_format_approval, approvals)


def _format_approval(approval: Approval) -> str:
    revoked = f" revoked {format_time(approval.revoked)}" if approval.revoked else ""
    approvers = ", ".join(approval.approved_by)
    return f"approval {approval.approval_id} until {format_time(approval.expires)} by {approvers}{revoked}"


async def _create(options: CommandOptions, new_key: NewKey, by: str) -> tuple[KeyRecord, str]:
    async with open_services(options.settings()) as services:
        return await services.key_admin.create_key(new_key, by)


async def _list(options: CommandOptions, user: str | None) -> tuple[KeyRecord, ...]:
    async with open_services(options.settings()) as services:
        return tuple(await services.key_admin.keys(user))


async def _show(options: CommandOptions, key_id: str) -> tuple[KeyRecord, tuple[Approval, ...]]:
    async with open_services(options.settings()) as services:
        record = await services.key_admin.key(key_id)
        return record, tuple(await services.key_admin.approvals(record.user))


async def _revoke(options: CommandOptions, text: str, by: str) -> tuple[KeyRecord, bool]:
    """The record, and whether it was valid until now."""
    async with open_services(options.settings()) as services:
        before = await services.key_admin.key(text)
        return await services.key_admin.revoke_key(text, by), before.revoked is None
