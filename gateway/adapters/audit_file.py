"""The audit record as a file: one JSON line per record, chained by HMAC, fsynced before `append` returns.

Several processes of one machine append to one file; under a lock each reads where the chain ends. An incomplete last
line was never confirmed to a caller: it is cut off, and a `chain_repaired` record says how long it was. A file that is
shorter than what this process has written or expects is not continued, since that would hide what was removed.

A file that is full is set aside under the number of its first record, and the chain goes on in a new one. So it does
where the file was moved away: beside the place where it was, or after a head that is known (`resume`). Nothing is
hidden by that, because the first record of the new file links to the last one of the old.

It does not verify the whole file while writing, and sends nothing anywhere.
"""

import asyncio
import fcntl
import itertools
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson

from gateway.adapters.audit_segments import Segment, first_line, last_line, segments
from gateway.adapters.audit_segments import read_lines as read_lines
from gateway.core.audit import ChainHead, Event, chain_of, follow, link, read_record
from gateway.ports import AuditUnavailable, Clock

LOCK_S = 5.0
SEGMENT_BYTES = 64 * 2**20
CHAIN_BYTES = 16


class SegmentMissing(AuditUnavailable):
    """The file is not there any more, nor is what it held found beside it."""


@dataclass(frozen=True, slots=True)
class _End:
    """Where a file ends: its identity, its size up to the last complete line, the head, and an incomplete last line.

    `first` is the number of its first record. `chain` is empty where no chain has begun.
    """

    file: tuple[int, int]
    size: int
    head: ChainHead
    chain: str
    first: int
    torn: bytes = b""


class FileAudit:
    """`ports.AuditLog`. `on_append` gets each new head, to be stored elsewhere: that reveals a truncated file."""

    def __init__(
        self,
        path: Path,
        secret: bytes,
        clock: Clock,
        on_append: Callable[[ChainHead], Awaitable[None]] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._path, self._secret, self._clock = path, secret, clock
        self._on_append, self._segment_bytes = on_append, segment_bytes
        self._lock = asyncio.Lock()
        # Besides the lock: a cancelled caller releases that while its thread still writes.
        self._thread_lock = threading.Lock()
        self._known: _End | None = None
        self._resume: ChainHead | None = None
        self._min_seq = 0
        self.chain = ""
        """The identity of the chain that this process writes; empty until it has seen or begun one."""

    @property
    def path(self) -> Path:
        return self._path

    @property
    def head(self) -> ChainHead | None:
        """Of the last record that this process has written."""
        return None if self._known is None else self._known.head

    def expect(self, head: ChainHead) -> None:
        """The file must contain this record, or it is not continued."""
        self._min_seq = max(self._min_seq, head.seq)

    def adopt(self, chain: str, head: ChainHead) -> None:
        """Go on with this chain, which contains this record, or not at all."""
        self._min_seq = head.seq if chain != self.chain else max(self._min_seq, head.seq)
        self.chain, self._resume = chain, None

    def resume(self, head: ChainHead) -> None:
        """Where the file is gone, the chain goes on after this record, wherever that is."""
        self._resume = head

    def begin_anew(self) -> None:
        """Set the file aside, if there is one, and begin another chain with the next record."""
        with self._thread_lock, _locked(self._path) as descriptor:
            if os.fstat(descriptor).st_size:
                first = read_record(self._secret, first_line(descriptor))
                _set_aside(self._path, 0 if isinstance(first, str) else first["seq"])
            self._known = self._resume = None
            self.chain, self._min_seq = self._clock.token(CHAIN_BYTES).hex(), 0

    async def append(self, event: Event) -> int:
        async with self._lock:
            head = await asyncio.to_thread(self._append, event)
        if self._on_append is not None:
            await self._on_append(head)
        return head.seq

    def _append(self, event: Event) -> ChainHead:
        with self._thread_lock:
            try:
                while True:
                    with _locked(self._path) as descriptor:
                        end = self._end(descriptor)
                        if end.size < self._segment_bytes:
                            return self._continue(descriptor, end, event)
                        _set_aside(self._path, end.first)
            except OSError as error:
                self._known = None
                raise AuditUnavailable(f"the audit file could not be written: {error.strerror}") from error

    def _continue(self, descriptor: int, end: _End, event: Event) -> ChainHead:
        if end.head.seq < self._min_seq:
            raise AuditUnavailable(f"the audit file ends at record {end.head.seq}; {self._min_seq} were written")
        chain = end.chain or self.chain or self._clock.token(CHAIN_BYTES).hex()
        head, lines = end.head, b""
        for each in (*self._preface(end, chain), event):
            line, head = link(self._secret, head, each)
            lines += line
        if end.torn:
            os.ftruncate(descriptor, end.size)
        _write(descriptor, lines, end.size)
        if end.size == 0:
            _sync_directory(self._path.parent)
        self._known = _End(end.file, end.size + len(lines), head, chain, end.first)
        self._min_seq, self.chain = head.seq, chain
        return head

    def _preface(self, end: _End, chain: str) -> Iterator[Event]:
        if end.size == 0:
            kind = "segment_started" if end.head.seq else "chain_started"
            yield Event(kind, self._clock.now(), {"file": self._path.name, "chain": chain})
        if end.torn:
            facts = {"bytes": len(end.torn), "sha256": sha256(end.torn).hexdigest()}
            yield Event("chain_repaired", self._clock.now(), facts)

    def _end(self, descriptor: int) -> _End:
        found = os.fstat(descriptor)
        file = (found.st_dev, found.st_ino)
        known = self._known
        if known is not None and (known.file, known.size) == (file, found.st_size):
            return known
        line, torn = last_line(descriptor, found.st_size)
        size = found.st_size - len(torn)
        if size == 0:
            chain, head = self._moved()
            return _End(file, 0, head, chain, head.seq + 1, torn)
        head = self._head(line)
        first = read_record(self._secret, first_line(descriptor))
        if isinstance(first, str):
            raise AuditUnavailable(f"the first line of the audit file is not a record of this gateway: {first}")
        if self.chain and chain_of(first) != self.chain:
            raise AuditUnavailable("the audit file holds another chain than this process has written")
        return _End(file, size, head, chain_of(first), first["seq"], torn)

    def _moved(self) -> tuple[str, ChainHead]:
        """The chain that an empty file goes on with, and where that ends: nothing where a chain is to begin."""
        tail = self._tail()
        if tail is not None and tail.head.seq >= self._min_seq:
            return tail.chain, tail.head
        if self._resume is not None and self._resume.seq >= self._min_seq:
            return self.chain, self._resume
        if self._min_seq:
            ends = tail.head.seq if tail else 0
            raise SegmentMissing(f"the audit file ends at record {ends}; {self._min_seq} were written")
        return "", ChainHead()

    def _tail(self) -> Segment | None:
        """The last segment of this process's chain beside the file; where it has none, the last that is named so."""
        found = [segment for segment in segments(self._path, self._secret) if segment.path != self._path]
        chain = self.chain
        if not chain:
            named = [each for each in found if each.path.name.startswith(self._path.name)]
            chain = max(named, key=lambda each: each.at).chain if named else ""
        return max((each for each in found if each.chain == chain), key=_by_number, default=None)

    def _head(self, line: bytes) -> ChainHead:
        """The head after the last line, which must be linked under this chain's secret."""
        try:
            record = orjson.loads(line)
            head = follow(self._secret, ChainHead(record["seq"] - 1, record["prev"]), line)
        except (ValueError, KeyError, TypeError):
            head = "it is not a record"
        if isinstance(head, str):
            raise AuditUnavailable(f"the last line of the audit file is not a record of this gateway: {head}")
        return head


def _by_number(segment: Segment) -> int:
    return segment.head.seq


def _set_aside(path: Path, first: int) -> None:
    """Rename a file, under its lock, after its first record. Who waits for the lock then sees that it moved."""
    names = itertools.chain([""], (f".{number}" for number in itertools.count(2)))
    aside = next(each for name in names if not (each := path.with_name(f"{path.name}.{first:012d}{name}")).exists())
    os.rename(path, aside)
    _sync_directory(path.parent)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The open file, created if missing, with an exclusive lock."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_S
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, deadline)
            if _is_still(path, descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the path still names the opened file: it may have been moved while this process waited for the lock."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int, lines: bytes, size: int) -> None:
    """Write and sync all of it, or leave the file as it was."""
    try:
        if os.write(descriptor, lines) != len(lines):
            raise OSError(None, "only a part could be written")
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def _sync_directory(directory: Path) -> None:
    # After a crash a new file is only found if its directory was synced, too (fsync(2)).
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
