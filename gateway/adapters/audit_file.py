"""The audit record as a file: one JSON line per record, chained by HMAC, fsynced before `append` returns.

Several processes of one machine append to one file; under a lock each reads where the chain ends. An incomplete last
line was never confirmed to a caller: it is cut off, and a `chain_repaired` record says how long it was. A file that is
shorter than what this process has written or expects is not continued, since that would hide what was removed:
`esm-gateway audit verify` says more, and another file name starts another chain.

It does not verify the whole file while writing, does not rotate it, and sends nothing anywhere.
"""

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson

from gateway.core.audit import ChainHead, Event, follow, link
from gateway.ports import AuditUnavailable, Clock

LOCK_S = 5.0
BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class _End:
    """Where a file ends: its identity, its size up to the last complete line, the head, and an incomplete last line."""

    file: tuple[int, int]
    size: int
    head: ChainHead
    torn: bytes = b""


class FileAudit:
    """`ports.AuditLog`. `on_append` gets each new head, to be stored elsewhere: that reveals a truncated file."""

    def __init__(
        self, path: Path, secret: bytes, clock: Clock, on_append: Callable[[ChainHead], Awaitable[None]] | None = None
    ) -> None:
        self._path = path
        self._secret = secret
        self._clock = clock
        self._on_append = on_append
        self._lock = asyncio.Lock()
        # Besides the lock: a cancelled caller releases that while its thread still writes.
        self._thread_lock = threading.Lock()
        self._known: _End | None = None
        self._min_seq = 0

    def expect(self, head: ChainHead) -> None:
        """The file must contain this record, or it is not continued."""
        self._min_seq = max(self._min_seq, head.seq)

    async def append(self, event: Event) -> int:
        async with self._lock:
            head = await asyncio.to_thread(self._append, event)
        if self._on_append is not None:
            await self._on_append(head)
        return head.seq

    def _append(self, event: Event) -> ChainHead:
        with self._thread_lock:
            try:
                with _locked(self._path) as descriptor:
                    return self._continue(descriptor, event)
            except OSError as error:
                self._known = None
                raise AuditUnavailable(f"the audit file could not be written: {error.strerror}") from error

    def _continue(self, descriptor: int, event: Event) -> ChainHead:
        end = self._end(descriptor)
        if end.head.seq < self._min_seq:
            raise AuditUnavailable(f"the audit file ends at record {end.head.seq}; {self._min_seq} were written")
        head, lines = end.head, b""
        for each in (*self._preface(end), event):
            line, head = link(self._secret, head, each)
            lines += line
        if end.torn:
            os.ftruncate(descriptor, end.size)
        _write(descriptor, lines, end.size)
        if end.size == 0:
            _sync_directory(self._path.parent)
        self._known = _End(end.file, end.size + len(lines), head)
        self._min_seq = head.seq
        return head

    def _preface(self, end: _End) -> Iterator[Event]:
        if end.size == 0:
            yield Event("chain_started", self._clock.now(), {"file": self._path.name})
        if end.torn:
            facts = {"bytes": len(end.torn), "sha256": sha256(end.torn).hexdigest()}
            yield Event("chain_repaired", self._clock.now(), facts)

    def _end(self, descriptor: int) -> _End:
        found = os.fstat(descriptor)
        file = (found.st_dev, found.st_ino)
        known = self._known
        if known is not None and (known.file, known.size) == (file, found.st_size):
            return known
        line, torn = _last_line(descriptor, found.st_size)
        size = found.st_size - len(torn)
        return _End(file, size, self._head(line) if size else ChainHead(), torn)

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


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their line ends; the last one may be incomplete."""
    with path.open("rb") as file:
        yield from file


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


def _last_line(descriptor: int, size: int) -> tuple[bytes, bytes]:
    """The last complete line (without its line end), and what follows it."""
    tail, start = b"", size
    while start > 0 and tail.count(b"\n") < 2:
        step = min(BLOCK, start)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
    complete, newline, torn = tail.rpartition(b"\n")
    return (complete.rpartition(b"\n")[2], torn) if newline else (b"", tail)


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
