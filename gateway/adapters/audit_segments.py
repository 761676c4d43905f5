"""The files that an audit chain runs through: which there are, in which order, and where each ends.

A segment is known by its first record, not by its name, so files that were renamed or moved aside within their
directory are found again. What is no record of this gateway is passed over.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.core.audit import ChainHead, chain_of, read_record

BLOCK = 65_536
BEGINNINGS = ("chain_started", "segment_started")


@dataclass(frozen=True, slots=True)
class Segment:
    """One file: its chain, the numbers of its first and its last record, and when that was written (Unix time).

    `before` is the head that its first record links to.
    """

    path: Path
    chain: str
    before: ChainHead
    head: ChainHead
    at: float
    size: int

    @property
    def first(self) -> int:
        return self.before.seq + 1


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their line ends; the last one may be incomplete."""
    with path.open("rb") as file:
        yield from file


def read_segment(path: Path, secret: bytes, *, broken: bool = False) -> Segment | None:
    """None for a file that does not begin with a record of this gateway, or whose last whole line is none.

    With `broken`, such a last line is passed over: `head` is then of no use.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _segment(path, descriptor, secret, broken)
    except OSError:
        return None  # a directory, for one
    finally:
        os.close(descriptor)


def segments(path: Path, secret: bytes, *, broken: bool = False) -> Sequence[Segment]:
    """All beside `path` and at it, of whatever chain, by their first records; of copies of one the longest."""
    names = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    read = (read_segment(each, secret, broken=broken) for each in names if each.is_file())
    found = [segment for segment in read if segment is not None]
    best: dict[tuple[str, int], Segment] = {}
    for segment in sorted(found, key=lambda each: (each.head.seq, each.path == path)):
        best[segment.chain, segment.first] = segment
    return sorted(best.values(), key=lambda each: (each.first, each.chain))


def last_line(descriptor: int, size: int) -> tuple[bytes, bytes]:
    """The last complete line (without its line end), and what follows it."""
    tail, start = b"", size
    while start > 0 and tail.count(b"\n") < 2:
        step = min(BLOCK, start)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
    complete, newline, torn = tail.rpartition(b"\n")
    return (complete.rpartition(b"\n")[2], torn) if newline else (b"", tail)


def first_line(descriptor: int) -> bytes:
    """The first complete line of a file, without its line end; empty where there is none."""
    line, newline, _ = os.pread(descriptor, BLOCK, 0).partition(b"\n")
    return line if newline else b""


def _segment(path: Path, descriptor: int, secret: bytes, broken: bool) -> Segment | None:
    size = os.fstat(descriptor).st_size
    first = read_record(secret, first_line(descriptor))
    last = read_record(secret, last_line(descriptor, size)[0])
    if isinstance(first, str) or first["kind"] not in BEGINNINGS:
        return None
    if isinstance(last, str):
        if not broken:
            return None
        last = first
    before, head = ChainHead(first["seq"] - 1, first["prev"]), ChainHead(last["seq"], last["mac"])
    return Segment(path, chain_of(first), before, head, float(last["at"]), size)
