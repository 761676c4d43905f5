"""The audit record of this machine: its files, their witness in the state store, and what verifies them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.adapters.audit_file import FileAudit
from gateway.adapters.audit_segments import Segment, read_lines, read_segment, segments
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_connect import RedisStore
from gateway.adapters.witnessed_audit import WitnessedAudit, opened, place_of
from gateway.core import sealing
from gateway.core.audit import BrokenLink, ChainHead, StoredHead, follow, read_record, verify
from gateway.ports import Clock, Meter
from gateway.settings import Settings, master_secret


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """An intact chain: its identity, the numbers of its first and last record here, the HMAC of that, its files."""

    chain: str
    first: int
    head: ChainHead
    files: tuple[Path, ...]


class RecordBroken(Exception):
    """Where the audit record is not intact, in a sentence."""


async def open_audit(
    settings: Settings,
    master: bytes,
    store: RedisStore,
    clock: Clock,
    meter: Meter,
    report: Callable[[str], object],
) -> WitnessedAudit:
    """The audit record of this machine. `report` takes its heads and what does not fit, for the log."""
    secret = _audit_secret(master)
    heads = RedisAuditHead(store, sealing.derive_key(master, "directory"), clock, meter)
    file = FileAudit(place_of(settings.audit_file), secret, clock, segment_bytes=settings.audit.segment_bytes)
    return await opened(WitnessedAudit(file, secret, heads, clock, report), report)


def chain_files(settings: Settings, files: Sequence[Path] = ()) -> Sequence[Segment]:
    """The files of the chain that the audit file holds (or of the newest beside it, if it is gone), in their order."""
    path, secret = place_of(settings.audit_file), _audit_secret(master_secret(settings))
    if files:
        read = [read_segment(place_of(each), secret, broken=True) for each in files]
        return sorted((segment for segment in read if segment is not None), key=lambda segment: segment.first)
    found = segments(path, secret, broken=True)
    current = next((segment for segment in found if segment.path == path), None)
    named = [segment for segment in found if segment.path.name.startswith(path.name)]
    newest = current or max(named, key=lambda segment: segment.at, default=None)
    return [segment for segment in found if newest is not None and segment.chain == newest.chain]


def verify_files(settings: Settings, chain: Sequence[Segment], archived: bool = False) -> VerifiedRecord:
    """Follow a chain through its files. With `archived`, the first of them need not be its beginning."""
    secret = _audit_secret(master_secret(settings))
    at = first = chain[0].before if archived else ChainHead()
    for segment in chain:
        if segment.chain != chain[0].chain:
            raise RecordBroken(f"{segment.path} belongs to another chain than {chain[0].path}.")
        if segment.before != at:
            raise RecordBroken(_gap(segment, at))
        found = verify(secret, read_lines(segment.path), start=at)
        if isinstance(found, BrokenLink):
            raise RecordBroken(f"{segment.path}, line {found.line}: {found.reason}.")
        at = found
    return VerifiedRecord(chain[0].chain, first.seq + 1, at, tuple(segment.path for segment in chain))


def check_end(settings: Settings, chain: Sequence[Segment], found: VerifiedRecord, stored: StoredHead | None) -> None:
    """Hold an intact chain against its stored head."""
    if stored is None:
        raise RecordBroken(
            f"{chain[-1].path}: there are {found.head.seq} records, and the state store holds no head of their chain: "
            "whether records are missing at the end cannot be told."
        )
    if not any(record == stored.head for record in _heads_of(settings, chain, found)):
        raise RecordBroken(f"{chain[-1].path}: records up to {stored.head.seq} were written, and are missing.")


def read_broken(settings: Settings, path: Path) -> RecordBroken:
    """Of a file that does not begin with a record of this gateway: what is wrong with it."""
    found = verify(_audit_secret(master_secret(settings)), read_lines(path))
    line, reason = (found.line, found.reason) if isinstance(found, BrokenLink) else (1, "the line is not a record")
    return RecordBroken(f"{path}, line {line}: {reason}.")


def read_audit(settings: Settings) -> Iterator[bytes]:
    """The lines of the whole chain, through all its files; where there is none yet, none."""
    for segment in chain_files(settings):
        yield from read_lines(segment.path)


def genuine_records(settings: Settings, master: bytes, kinds: Collection[str]) -> Iterator[Mapping[str, Any]]:
    """Every record of these kinds that this gateway has written and that is still here, of whatever chain.

    Files that a crash or somebody has broken tell what they can: each record proves itself.
    """
    secret = _audit_secret(master)
    marks = tuple(f'"kind":"{kind}"'.encode() for kind in kinds)
    found = segments(place_of(settings.audit_file), secret, broken=True)
    began = {segment.chain: segment.at for segment in reversed(found)}
    for segment in sorted(found, key=lambda each: (began[each.chain], each.first)):
        for line in read_lines(segment.path):
            if any(mark in line for mark in marks):
                record = read_record(secret, line.rstrip(b"\n"))
                if not isinstance(record, str) and record["kind"] in kinds:
                    yield record


def _heads_of(settings: Settings, chain: Sequence[Segment], found: VerifiedRecord) -> Iterator[ChainHead]:
    """The head before the first record, and after each."""
    secret, at = _audit_secret(master_secret(settings)), chain[0].before
    yield at
    for segment in chain:
        for line in read_lines(segment.path):
            after = follow(secret, at, line.rstrip(b"\n"))
            if isinstance(after, str):
                return
            at = after
            yield at


def _gap(segment: Segment, at: ChainHead) -> str:
    if segment.first > at.seq + 1:
        return f"{segment.path}: records {at.seq + 1} to {segment.first - 1} are missing before it."
    return f"{segment.path}, line 1: it does not follow record {at.seq}."


def _audit_secret(master: bytes) -> bytes:
    """The secret under which the records of the chain are linked."""
    return sealing.derive_key(master, "audit-chain")
