"""Virtual keys: issue, look at, revoke."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from gateway.cli.options import CommandOptions, run, system_user, table, with_options
from gateway.cli.times import format_time, parse_time
from gateway.core.types import Approval, CacheScope, KeyRecord, Limits
from gateway.flow.key_admin import SHARES, NewKey
from gateway.wiring.command_services import open_services

CEILING = click.IntRange(min=1)


@click.group()
def keys() -> None:
    """Issue, list and revoke virtual keys."""


@keys.command()
@click.option("--user", required=True, help="Whose key it is.")
@click.option("--team", default="default", show_default=True, help="The team whose member the user is.")
@click.option("--model", "models", multiple=True, help="A model the key may use (repeat); without it: all.")
@click.option("--expires", type=parse_time, help="When the key ends: 30d, 12h, 2027-01-31.")
@click.option("--label", default="", help="A remark, shown in lists.")
@click.option("--requests-per-minute", type=CEILING, help="A ceiling of this key alone.")
@click.option("--burst", type=CEILING, help="Requests at once; as many as a minute's if left out.")
@click.option("--concurrent", type=CEILING, help="Calls under way at once.")
@click.option("--units-per-day", type=click.IntRange(min=0), help="Units a UTC day.")
@click.option("--cache-classes", help='Classes of answers kept for it, as "exact,pinned"; "none" for none.')
@click.option(
    "--cache-share", type=click.Choice(SHARES), help="Who shares its answers; never more than the settings say."
)
@click.option("--cache-control", help='Cache-Control directives it may send, as "no-cache,max-age"; "none" for none.')
@click.option("--namespace", help="The namespace it reads and records in where a request names none.")
@click.option("--by", default=system_user, help="Who issues it, for the record; the system's user if left out.")
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
    **ceilings: int | None,
) -> None:
    """Issue a key. Its text is shown once and cannot be had again."""
    scope = CacheScope(_listed(cache_classes), cache_share, _listed(cache_control), namespace)
    cache = None if scope == CacheScope() else scope
    order = NewKey(user, team, models or None, expires, Limits(**ceilings), label, cache)
    record, text = run(_create(options, order, by))
    lines = [
        f"key      {text}",
        f"id       {record.public_id}",
        f"user     {user} (team {team})",
        f"expires  {format_time(expires) or 'never'}",
        *scope_lines(record),
        "This is the only time that the key is shown.",
    ]
    options.show({"key": text, **facts(record)}, lines)


@keys.command("list")
@click.option("--user", help="Only this user's keys.")
@with_options
def list_keys(options: CommandOptions, user: str | None) -> None:
    """All keys, oldest first."""
    records = run(_list(options, user))
    head = ("ID", "USER", "TEAM", "STATE", "CREATED", "EXPIRES", "NAMESPACE", "LABEL")
    rows = [
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
    ]
    options.show([facts(key) for key in records], table(head, rows))


@keys.command()
@click.argument("key_id")
@with_options
def show(options: CommandOptions, key_id: str) -> None:
    """One key, its ceilings and its user's approvals."""
    record, approvals = run(_show(options, key_id))
    about = {**facts(record), "approvals": [approval_facts(approval) for approval in approvals]}
    options.show(about, _card(record, approvals))


@keys.command()
@click.argument("key_id")
@click.option("--by", default=system_user, help="Who revokes it, for the record; the system's user if left out.")
@with_options
def revoke(options: CommandOptions, key_id: str, by: str) -> None:
    """End a key. Every worker refuses it within two seconds."""
    record = run(_revoke(options, key_id, by))
    options.show(
        facts(record), [f"Key {record.public_id} of {record.user} is revoked since {format_time(record.revoked)}."]
    )


def facts(record: KeyRecord) -> Mapping[str, Any]:
    """A key for programs: everything but its digest."""
    about = asdict(record)
    del about["digest"]
    return {**about, "state": state(record)}


def scope_lines(record: KeyRecord) -> list[str]:
    """What a key may do with the cache, where that is less than the settings say."""
    if record.cache is None:
        return []
    named = {
        "keeps": record.cache.classes,
        "shares with": record.cache.share,
        "Cache-Control": record.cache.directives,
        "namespace": record.cache.namespace,
    }
    said = (f"{what} {_words(value)}" for what, value in named.items() if value is not None)
    return [f"cache    {'; '.join(said)}"]


def _namespace(record: KeyRecord) -> str | None:
    return None if record.cache is None else record.cache.namespace


def _words(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value) or "nothing"


def _listed(text: str | None) -> tuple[str, ...] | None:
    """Words between commas; "none" is a list without any, left out is no list."""
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


def _card(record: KeyRecord, approvals: tuple[Approval, ...]) -> list[str]:
    ceilings = [f"{name} {value}" for name, value in asdict(record.limits).items() if value is not None]
    lines = [
        f"id       {record.public_id} ({state(record)})",
        f"user     {record.user} (team {record.team})",
        f"created  {format_time(record.created)}",
        f"expires  {format_time(record.expires) or 'never'}",
        f"models   {', '.join(record.models or ()) or 'all'}",
        f"limits   {', '.join(ceilings) or 'only those of the user'}",
        *scope_lines(record),
    ]
    lines += [f"revoked  {format_time(record.revoked)}"] if record.revoked is not None else []
    ended = (("revoked " + (format_time(approval.revoked) or "")) if approval.revoked else "" for approval in approvals)
    return lines + [
        f"approval {approval.approval_id} until {format_time(approval.expires)} by {', '.join(approval.approved_by)} {end}".rstrip()
        for approval, end in zip(approvals, ended, strict=True)
    ]


async def _create(options: CommandOptions, order: NewKey, by: str) -> tuple[KeyRecord, str]:
    async with open_services(options.settings()) as parts:
        return await parts.key_admin.create_key(order, by)


async def _list(options: CommandOptions, user: str | None) -> tuple[KeyRecord, ...]:
    async with open_services(options.settings()) as parts:
        return tuple(await parts.key_admin.keys(user))


async def _show(options: CommandOptions, key_id: str) -> tuple[KeyRecord, tuple[Approval, ...]]:
    async with open_services(options.settings()) as parts:
        record = await parts.key_admin.key(key_id)
        return record, tuple(await parts.key_admin.approvals(record.user))


async def _revoke(options: CommandOptions, key_id: str, by: str) -> KeyRecord:
    async with open_services(options.settings()) as parts:
        return await parts.key_admin.revoke_key(key_id, by)
