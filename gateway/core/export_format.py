"""A namespace as one file: calls as they went upstream, their answers byte for byte, and what their receipts say.

The file is Zstandard (RFC 8878), so `zstd -dc FILE` shows its content without any gateway: JSON, one object a line.
The first line describes the namespace, each further one is a call with its answer and its receipt, the last one counts
them. Around the compressed lines stand two skippable frames: in front what this is and in which version, at the end
the SHA-256 of everything before it. The same namespace always makes the same bytes.

The digest tells of damage, not of an author: whoever can write the file can write the digest. What a file claims is
checked by whoever reads it in (`flow/namespace_transfer.py`).
"""

import io
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import IO, Any, cast

import orjson
import zstandard

from gateway.core.cache_directives import MAX_SAMPLE, NAME_PATTERN
from gateway.core.namespace_entry import NamespaceEntry
from gateway.core.receipts import Receipt
from gateway.core.types import Answer, DeterminismClass, Namespace

LEVEL = 9
MAX_LINE_BYTES = 2**28
# What unpacking may need; the level above needs 8 MiB.
MAX_WINDOW_BYTES = 2**27
READ_BYTES = 2**16
# The year 5138: no time of a namespace, and a time that can be shown.
MAX_TIME = 1e11
_SKIPPABLE = 0x184D2A50


def _skippable(content: bytes) -> bytes:
    return struct.pack("<II", _SKIPPABLE, len(content)) + content


MAGIC = _skippable(b"esm-gateway namespace 1\n")
_ANY_VERSION = MAGIC[:-2]
CHECKSUM_FRAME_BYTES = len(_skippable(b"sha256 " + b"0" * 64 + b"\n"))


class ExportUnreadable(Exception):
    """The file is no namespace, or is damaged; the message says what is wrong, in one sentence."""


@dataclass(frozen=True, slots=True)
class ExportHeader:
    """Of which namespace this is the content, and which version of the gateway wrote it."""

    namespace: Namespace
    gateway: str


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A recorded call, the digest of its canonical form, and its number in the file, from 1."""

    number: int
    entry: NamespaceEntry
    call_digest: bytes


@dataclass(frozen=True, slots=True)
class ExportTrailer:
    """How many calls there are, and how many flagged ones were left out."""

    entries: int
    omitted: int


class ExportWriter:
    """The pieces of a file in order, as they come: `begin`, `add` for each call, `end`; holds no more than a piece."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(LEVEL).compressobj()
        self._digest = sha256()
        self._entries = 0

    def begin(self, head: ExportHeader) -> bytes:
        return self._hashed(MAGIC + self._line({**asdict(head.namespace), "gateway": head.gateway}))

    def add(self, entry: NamespaceEntry, call: bytes) -> bytes:
        self._entries += 1
        answer = entry.answer
        row = {
            "endpoint": entry.endpoint,
            "target": entry.target,
            "flagged": entry.flagged,
            "pool": entry.pool,
            "sample": entry.sample,
            "call": entry.body.decode(),
            "created": answer.created,
            "compute_s": answer.compute_s,
            "receipt": receipt_of(entry, call).document(),
            "answer": answer.body.decode(),
        }
        return self._hashed(self._line(row))

    def end(self, omitted: int) -> bytes:
        last = self._line({"entries": self._entries, "omitted": omitted}) + self._compressor.flush()
        return self._hashed(last) + _skippable(b"sha256 " + self.sha256.encode() + b"\n")

    @property
    def sha256(self) -> str:
        """Of everything before the last frame; after `end`, that which stands in the file."""
        return self._digest.hexdigest()

    def _line(self, content: Mapping[str, Any]) -> bytes:
        return self._compressor.compress(orjson.dumps(content) + b"\n")

    def _hashed(self, piece: bytes) -> bytes:
        self._digest.update(piece)
        return piece


def receipt_of(entry: NamespaceEntry, call: bytes) -> Receipt:
    """What the receipt of a recorded answer says."""
    answer = entry.answer
    digest = sha256(answer.body).digest()
    return Receipt(entry.model, call, answer.cls, answer.created, answer.upstream, digest)


def verify(chunks: Iterable[bytes]) -> str:
    """The SHA-256 of a whole and undamaged file, in hex; raises Unreadable."""
    source = _ChunkReader(chunks)
    while source.read(READ_BYTES):
        pass
    return source.sha256


def read(chunks: Iterable[bytes]) -> Iterator[ExportHeader | ExportRow | ExportTrailer]:
    """What a file holds, in order; raises Unreadable, for damage that shows at the end only after the rest."""
    source = _ChunkReader(chunks)
    unpack = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).stream_reader(cast(IO[bytes], source))
    try:
        yield from _rows(io.BufferedReader(unpack, READ_BYTES))
    except zstandard.ZstdError:
        raise ExportUnreadable("What it holds cannot be unpacked.") from None
    while source.read(READ_BYTES):
        pass


def _rows(lines: io.BufferedReader) -> Iterator[ExportHeader | ExportRow | ExportTrailer]:
    yield _head(_next(lines))
    number = 0
    while "receipt" in (row := _next(lines)):
        number += 1
        yield _line(row, number)
    end = _end(row)
    if end.entries != number or lines.readline(1):
        raise ExportUnreadable("It does not hold as many calls as it says.")
    yield end


def _next(lines: io.BufferedReader) -> Mapping[str, Any]:
    text = lines.readline(MAX_LINE_BYTES)
    try:
        row = orjson.loads(text) if text.endswith(b"\n") else None
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict):
        raise ExportUnreadable("A line of it is no JSON object, or it ends too early.")
    return row


def _head(row: Mapping[str, Any]) -> ExportHeader:
    try:
        namespace = Namespace(row["name"], float(row["created"]), float(row["frozen"]), str(row["note"]))
        if not NAME_PATTERN.fullmatch(namespace.name) or not all(
            0 <= row[at] < MAX_TIME for at in ("created", "frozen")
        ):
            raise ValueError
        return ExportHeader(namespace, str(row["gateway"]))
    except (KeyError, TypeError, ValueError):
        raise ExportUnreadable("Its first line does not describe a namespace.") from None


def _line(row: Mapping[str, Any], number: int) -> ExportRow:
    try:
        told = row["receipt"]
        body, cls = row["answer"].encode(), DeterminismClass(told["determinism"])
        answer = Answer(body, float(row["created"]), cls, float(row["compute_s"]), str(told["upstream"]))
        target, sample = str(row["target"]), row["sample"] if row["sample"] is None else int(row["sample"])
        words = str(row["endpoint"]), target, str(told["model"]), bool(row["flagged"]), row["call"].encode()
        if not _is_sample(row["pool"], sample):
            raise ExportUnreadable(
                f"Call {number} in it was asked for from no pool, or as no sample, that there can be."
            )
        entry, call = NamespaceEntry(*words, row["pool"], sample, answer), bytes.fromhex(told["call_sha256"])
        agrees = receipt_of(entry, call).document() == told
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        raise ExportUnreadable(f"Call {number} in it is not written as a recorded call is.") from None
    if not agrees:
        raise ExportUnreadable(f"The receipt of call {number} in it does not belong to its answer.")
    return ExportRow(number, entry, call)


def _is_sample(pool: object, sample: int | None) -> bool:
    """Whether `Cache-Control` can ask for it."""
    named = pool is None or (isinstance(pool, str) and NAME_PATTERN.fullmatch(pool) is not None and sample is not None)
    return named and (sample is None or 1 <= sample <= MAX_SAMPLE)


def _end(row: Mapping[str, Any]) -> ExportTrailer:
    try:
        return ExportTrailer(int(row["entries"]), int(row["omitted"]))
    except (KeyError, TypeError, ValueError):
        raise ExportUnreadable("Its last line does not count the calls.") from None


class _ChunkReader:
    """The compressed part of a file, in pieces; what stands before and after it is checked on the way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._digest = sha256()
        self._held = b""
        self._ended = False
        head = self._take(len(MAGIC))
        if not head.startswith(_ANY_VERSION):
            raise ExportUnreadable("This is no namespace that a gateway wrote.")
        if head != MAGIC:
            raise ExportUnreadable("It was written in a form that this gateway does not know; use a newer one.")

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int = READ_BYTES) -> bytes:
        """At most so many bytes; none at the end, where the digest has been compared."""
        piece = self._take(max(1, size))
        if not piece and not self._ended:
            self._ended = True
            if self._held != _skippable(b"sha256 " + self.sha256.encode() + b"\n"):
                raise ExportUnreadable("It is damaged or cut off: its content does not match its checksum.")
        return piece

    def _take(self, size: int) -> bytes:
        """The next bytes that are not the last frame, which is held back."""
        while len(self._held) < size + CHECKSUM_FRAME_BYTES:
            more = next(self._chunks, None)
            if more is None:
                break
            self._held += more
        cut = max(0, min(size, len(self._held) - CHECKSUM_FRAME_BYTES))
        piece, self._held = self._held[:cut], self._held[cut:]
        self._digest.update(piece)
        return piece
