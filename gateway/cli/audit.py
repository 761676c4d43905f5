"""The audit record: whether its chain is intact, its latest records, and an administrator's word where it is not."""

from collections import deque
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.cli.options import CommandError, CommandOptions, run, system_user, with_options
from gateway.cli.times import format_time
from gateway.settings import Settings
from gateway.wiring.audit import (
    RecordBroken,
    VerifiedRecord,
    chain_files,
    check_end,
    read_audit,
    read_broken,
    verify_files,
)
from gateway.wiring.command_services import open_services

TIMES = ("expires", "frozen", "first_at", "last_at")
"""Facts that are times."""


@click.group()
def audit() -> None:
    """Verify and read the audit record."""


@audit.command("verify")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--head/--no-head", "compare", default=True, help="Compare with the head that the state store holds.")
@click.option(
    "--archived", is_flag=True, help="The chain's first files are kept elsewhere: begin with the first one here."
)
@with_options
def verify_chain(options: CommandOptions, files: tuple[Path, ...], compare: bool, archived: bool) -> None:
    """Verify the chain in FILES (default: the file in the settings and those before it), and compare its end.

    Names the first broken link; records without a stored head, or a head without records, are a failure, too.
    """
    settings = options.settings()
    try:
        found = run(_verify(settings, files, compare, archived))
    except RecordBroken as broken:
        raise CommandError(str(broken)) from None
    remark = "" if compare else " (not compared with a head in the state store)"
    if found is None:
        empty = {"records": 0, "compared": compare, "files": []}
        return options.show(empty, [f"{settings.audit_file}: no records yet{remark}."])
    about = {"records": found.head.seq, "first": found.first, "head": found.head.mac, "chain": found.chain}
    names = [str(file) for file in found.files]
    lines = [f"{', '.join(names)}: {found.head.seq} records, the chain is intact{remark}."]
    return options.show({**about, "compared": compare, "files": names}, lines)


@audit.command()
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@with_options
def tail(options: CommandOptions, count: int) -> None:
    """Show the latest records."""
    records = [_parse(line) for line in deque(read_audit(options.settings()), maxlen=count)]
    options.show(records, [_format(record) for record in records])


@audit.command()
@click.option("--by", default=system_user, help="Who accepts it, for the audit record. Default: the system's user.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_options
def accept(options: CommandOptions, by: str, yes: bool) -> None:
    """Go on recording where the audit file and the heads in the state store do not fit; find out why before.

    A chain that is whole goes on. One that is not is set aside, and another one begun. Both are on record.
    """
    if not yes:
        click.confirm("Go on although records may be missing?", abort=True, err=True)
    why = run(_accept(options.settings(), by))
    told = f"Accepted, and on record: {why}." if why else "The audit file and its stored head fit; nothing was changed."
    options.show({"accepted": why}, [told])


async def _verify(settings: Settings, files: tuple[Path, ...], compare: bool, archived: bool) -> VerifiedRecord | None:
    chain = chain_files(settings, files)
    for path in files or (settings.audit_file,):
        here = any(segment.path == path.absolute() for segment in chain)
        if not here and path.exists() and path.stat().st_size:
            raise read_broken(settings, path)
    found = verify_files(settings, chain, archived) if chain else None
    if not compare:
        return found
    async with open_services(settings) as services:
        if found is not None:
            stored = await services.audit.heads.get(found.chain)
            check_end(settings, chain, found, stored)
            if stored is not None and not files and stored.place != str(settings.audit_file.absolute()):
                raise RecordBroken(f"{settings.audit_file}: its chain was last written to {stored.place}.")
            return found
        written = await services.audit.heads.at_place(str(settings.audit_file.absolute()))
        if written:
            seq = max(stored.head.seq for stored in written.values())
            raise RecordBroken(f"{settings.audit_file}: records up to {seq} were written, and are missing.")
        return None


async def _accept(settings: Settings, by: str) -> str:
    async with open_services(settings) as services:
        misfit = await services.audit.accept(by, **services.ran_by)
        return misfit.why if misfit is not None else ""


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
