"""The audit record: whether its chain is intact, and its latest records."""

from collections import deque
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.cli.options import CommandError, CommandOptions, run, with_options
from gateway.cli.times import format_time
from gateway.core.audit import BrokenLink, ChainHead
from gateway.settings import Settings
from gateway.wiring.command_services import open_services
from gateway.wiring.stores import chain_name, read_audit, verify_audit

TIMES = ("expires", "frozen", "first_at", "last_at")
"""Facts that are times."""


@click.group()
def audit() -> None:
    """Verify and read the audit record."""


@audit.command("verify")
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--head/--no-head", "compare", default=True, help="Compare with the head that the state store holds.")
@with_options
def verify_chain(options: CommandOptions, file: Path | None, compare: bool) -> None:
    """Verify the chain of FILE (default: the file in the settings) and name the first broken link."""
    settings = options.settings()
    path = file or settings.audit_file
    stored_head = run(_stored_head(settings)) if compare else None
    found = verify_audit(settings, path, stored_head)
    if isinstance(found, BrokenLink):
        raise CommandError(f"{path}, line {found.line}: {found.reason}.")
    compared = stored_head is not None
    remark = "" if compared else " (not compared with a head in the state store)"
    lines = [f"{path}: {found.seq} records, the chain is intact{remark}."]
    options.show({"records": found.seq, "head": found.mac, "compared": compared}, lines)


@audit.command()
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@with_options
def tail(options: CommandOptions, count: int) -> None:
    """Show the latest records."""
    records = [_parse(line) for line in deque(read_audit(options.settings().audit_file), maxlen=count)]
    options.show(records, [_format(record) for record in records])


async def _stored_head(settings: Settings) -> ChainHead | None:
    async with open_services(settings) as services:
        return await services.audit_heads.get(chain_name(settings))


def _parse(line: bytes) -> dict[str, Any]:
    """A record as it can be shown: `verify` says what is wrong with one that is unreadable."""
    try:
        record = orjson.loads(line)
        orjson.dumps(record)  # more members in one another than can be written
    except (orjson.JSONDecodeError, TypeError):
        return {"kind": "unreadable"}
    return record if isinstance(record, dict) else {"kind": "unreadable"}


def _format(record: dict[str, Any]) -> str:
    facts = record.get("facts")
    named = facts if isinstance(facts, dict) else {"facts": facts}
    pairs = " ".join(f"{name}={_plain(name, value)}" for name, value in named.items() if value not in (None, ""))
    seq = _plain("seq", record.get("seq", "?"))
    return f"{seq:>6}  {format_time(record.get('at'))}  {record.get('kind')}  {pairs}".rstrip()


def _plain(name: str, value: Any) -> str:
    if name in TIMES and isinstance(value, int | float):
        return (format_time(value) or "").replace(" ", "_")
    return value if isinstance(value, str) else orjson.dumps(value).decode()
