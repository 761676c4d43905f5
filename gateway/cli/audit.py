"""The chained record of what mattered: whether it is whole, and its latest lines."""

from collections import deque
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.cli.options import CommandError, CommandOptions, run, with_options
from gateway.cli.times import shown
from gateway.core.audit import BrokenLink, ChainHead
from gateway.wiring.record import record_lines, verify_record, witnessed_head


@click.group()
def audit() -> None:
    """Verify and read the audit record."""


@audit.command("verify")
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--head/--no-head", "witness", default=True, help="Compare with the head kept in the state store.")
@with_options
def verify_chain(options: CommandOptions, file: Path | None, witness: bool) -> None:
    """Follow the chain of FILE (or of the settings) and name the first broken link."""
    settings = options.settings()
    path = file or settings.audit_file
    head = run(witnessed_head(settings)) if witness else None
    found = verify_record(settings, path, head)
    if isinstance(found, BrokenLink):
        raise CommandError(f"{path}, line {found.line}: {found.reason}.")
    options.show({"records": found.seq, "head": found.mac, "witnessed": head is not None}, [_whole(path, found, head)])


@audit.command()
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@with_options
def tail(options: CommandOptions, count: int) -> None:
    """The latest records."""
    records = [_record(line) for line in deque(record_lines(options.settings().audit_file), maxlen=count)]
    options.show(records, [_spoken(record) for record in records])


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {"kind": "unreadable"}
    return record if isinstance(record, dict) else {"kind": "unreadable"}


def _spoken(record: dict[str, Any]) -> str:
    facts = record.get("facts") or {}
    said = " ".join(f"{name}={_plain(value)}" for name, value in facts.items() if value not in (None, ""))
    return f"{record.get('seq', '?'):>6}  {shown(record.get('at'))}  {record.get('kind')}  {said}".rstrip()


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _whole(path: Path, found: ChainHead, head: ChainHead | None) -> str:
    remark = "" if head is not None else " (its end was not compared with a head kept elsewhere)"
    return f"{path}: {found.seq} records, the chain is whole{remark}."
