"""The export of a namespace: one file with its calls as they went upstream, their answers and their receipts.

The file is Zstandard (RFC 8878), so `zstd -dc FILE` shows its content without a gateway: JSON, one object a line. The
first line describes the namespace, each line after it is a call with its answer and its receipt, the last line counts
them. A skippable frame in front holds the format and its version, one at the end the SHA-256 of everything before it.
The same namespace always makes the same bytes.

The checksum detects damage, not forgery. The import (`flow/namespace_transfer.py`) treats a file as untrusted.
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

ZSTD_LEVEL = 9
MAX_LINE_BYTES = 2**28
# The most memory that decompression may need; the level above needs 8 MiB.
MAX_WINDOW_BYTES = 2**27
READ_BYTES = 2**16
# The year 5138: later than any time in an export, and one that can still be printed.
MAX_TIME = 1e11
_SKIPPABLE = 0x184D2A50


def _skippable(content: bytes) -> bytes:
    return struct.pack("<II", _SKIPPABLE, len(content)) + content


MAGIC = _skippable(b"esm-gateway namespace 1\n")
_ANY_VERSION = MAGIC[:-2]
CHECKSUM_FRAME_BYTES = len(_skippable(b"sha256 " + b"0" * 64 + b"\n"))


class ExportUnreadable(Exception):
    """The file is not an export, or is damaged. The message says what is wrong, in one sentence."""


@dataclass(frozen=True, slots=True)
class ExportHeader:
    """The namespace, and the version of the gateway that wrote the file."""

    namespace: Namespace
    gateway: str


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A call with its answer, the digest of its canonical form, and its number in the file, from 1."""

    number: int
    entry: NamespaceEntry
    call_digest: bytes


@dataclass(frozen=True, slots=True)
class ExportTrailer:
    """How many calls there are, and how many flagged ones were omitted."""

    entries: int
    omitted: int


class ExportWriter:
    """Makes a file piece by piece: `begin`, `add` for each call, `end`. Holds no more than one piece in memory."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(ZSTD_LEVEL).compressobj()
        self._digest = sha256()
        self._entries = 0

    def begin(self, header: ExportHeader) -> bytes:
        return self._hashed(MAGIC + self._line({**asdict(header.namespace), "gateway": header.gateway}))

    def add(self, entry: NamespaceEntry, call_digest: bytes) -> bytes:
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
            "receipt": receipt_of(entry, call_digest).document(),
            "answer": answer.body.decode(),
        }
        return self._hashed(self._line(row))

    def end(self, omitted: int) -> bytes:
        last = self._line({"entries": self._entries, "omitted": omitted}) + self._compressor.flush()
        return self._hashed(last) + _skippable(b"sha256 " + self.sha256.encode() + b"\n")

    @property
    def sha256(self) -> str:
        """Of everything before the last frame; after `end`, the one in the file."""
        return self._digest.hexdigest()

    def _line(self, content: Mapping[str, Any]) -> bytes:
        return self._compressor.compress(orjson.dumps(content) + b"\n")

    def _hashed(self, piece: bytes) -> bytes:
        self._digest.update(piece)
        return piece


def receipt_of(entry: NamespaceEntry, call_digest: bytes) -> Receipt:
    """The receipt of an answer."""
    answer = entry.answer
    digest = sha256(answer.body).digest()
    return Receipt(entry.model, call_digest, answer.cls, answer.created, answer.upstream, digest)


def verify(chunks: Iterable[bytes]) -> str:
    """The SHA-256 of a whole and undamaged file, in hex; raises ExportUnreadable."""
    source = _ChunkReader(chunks)
    while source.read(READ_BYTES):
        pass
    return source.sha256


def read(chunks: Iterable[bytes]) -> Iterator[ExportHeader | ExportRow | ExportTrailer]:
    """The lines of a file in order. Raises ExportUnreadable; damage that shows at the end only, after the rest."""
    source = _ChunkReader(chunks)
    lines = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).stream_reader(cast(IO[bytes], source))
    try:
        yield from _rows(io.BufferedReader(lines, READ_BYTES))
    except zstandard.ZstdError:
        raise ExportUnreadable("Its content cannot be decompressed.") from None
    while source.read(READ_BYTES):
        pass


def _rows(lines: io.BufferedReader) -> Iterator[ExportHeader | ExportRow | ExportTrailer]:
    yield _header(_next(lines))
    number = 0
    while "receipt" in (row := _next(lines)):
        number += 1
        yield _row(row, number)
    trailer = _trailer(row)
    if trailer.entries != number or lines.readline(1):
        raise ExportUnreadable("It does not have as many calls as it says.")
    yield trailer


def _next(lines: io.BufferedReader) -> Mapping[str, Any]:
    text = lines.readline(MAX_LINE_BYTES)
    try:
        row = orjson.loads(text) if text.endswith(b"\n") else None
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict):
        raise ExportUnreadable("A line of it is not a JSON object, or it ends too early.")
    return row


def _header(row: Mapping[str, Any]) -> ExportHeader:
    try:
        namespace = Namespace(row["name"], float(row["created"]), float(row["frozen"]), str(row["note"]))
        if not NAME_PATTERN.fullmatch(namespace.name) or not all(
            0 <= row[at] < MAX_TIME for at in ("created", "frozen")
        ):
            raise ValueError
        return ExportHeader(namespace, str(row["gateway"]))
    except (KeyError, TypeError, ValueError):
        raise ExportUnreadable("Its first line does not describe a namespace.") from None


def _row(row: Mapping[str, Any], number: int) -> ExportRow:
    try:
        receipt = row["receipt"]
        body, cls = row["answer"].encode(), DeterminismClass(receipt["determinism"])
        answer = Answer(body, float(row["created"]), cls, float(row["compute_s"]), str(receipt["upstream"]))
        target, sample = str(row["target"]), row["sample"] if row["sample"] is None else int(row["sample"])
        call_fields = str(row["endpoint"]), target, str(receipt["model"]), bool(row["flagged"]), row["call"].encode()
        if not _is_sample(row["pool"], sample):
            raise ExportUnreadable(f"Call {number} in it has a pool or a sample that cannot exist.")
        entry = NamespaceEntry(*call_fields, row["pool"], sample, answer)
        call_digest = bytes.fromhex(receipt["call_sha256"])
        agrees = receipt_of(entry, call_digest).document() == receipt
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        raise ExportUnreadable(f"Call {number} in it is malformed.") from None
    if not agrees:
        raise ExportUnreadable(f"The receipt of call {number} in it does not match its answer.")
    return ExportRow(number, entry, call_digest)


def _is_sample(pool: object, sample: int | None) -> bool:
    """Whether `Cache-Control` can ask for it."""
    named = pool is None or (isinstance(pool, str) and NAME_PATTERN.fullmatch(pool) is not None and sample is not None)
    return named and (sample is None or 1 <= sample <= MAX_SAMPLE)


def _trailer(row: Mapping[str, Any]) -> ExportTrailer:
    try:
        return ExportTrailer(int(row["entries"]), int(row["omitted"]))
    except (KeyError, TypeError, ValueError):
        raise ExportUnreadable("Its last line does not count the calls.") from None


class _ChunkReader:
    """The compressed part of a file, in pieces; the frames before and after it are checked on the way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._digest = sha256()
        self._held = b""
        self._ended = False
        start = self._take(len(MAGIC))
        if not start.startswith(_ANY_VERSION):
            raise ExportUnreadable("This is not an exported namespace.")
        if start != MAGIC:
            raise ExportUnreadable("It has a format version that this gateway does not know; use a newer gateway.")

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int = READ_BYTES) -> bytes:
        """At most `size` bytes; none at the end, after the checksum has been compared."""
        piece = self._take(max(1, size))
        if not piece and not self._ended:
            self._ended = True
            if self._held != _skippable(b"sha256 " + self.sha256.encode() + b"\n"):
                raise ExportUnreadable("It is damaged or cut off: its content does not match its checksum.")
        return piece

    def _take(self, size: int) -> bytes:
        """The next bytes before the last frame, which is held back."""
        while len(self._held) < size + CHECKSUM_FRAME_BYTES:
            more = next(self._chunks, None)
            if more is None:
                break
            self._held += more
        cut = max(0, min(size, len(self._held) - CHECKSUM_FRAME_BYTES))
        piece, self._held = self._held[:cut], self._held[cut:]
        self._digest.update(piece)
        return piece
