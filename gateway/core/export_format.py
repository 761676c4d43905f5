"""The export of a namespace: one file with its calls as they went upstream, their answers and their receipts.

The file is Zstandard (RFC 8878), so `zstd -dc FILE` shows its content without a gateway: JSON, one object a line. The
first line describes the namespace, each line after it is a call with its answer and its receipt, the last line counts
them. A skippable frame in front holds the format and its version, one at the end the SHA-256 of everything before it.
The same namespace always makes the same bytes. After the checksum comes a frame with the signature of the gateway that
wrote the file (Ed25519, over the checksum), and its public key; files of format version 1 have none.

The checksum detects damage, not forgery; the signature says who vouches for the file, not that it is true. The import
(`flow/namespace_transfer.py`) treats the content of a file as untrusted either way.
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import IO, Any, cast

import orjson
import zstandard

from gateway.core import receipts
from gateway.core.cache_directives import MAX_SAMPLE, NAME_PATTERN
from gateway.core.export_frames import (
    MAGIC,
    READ_BYTES,
    SIGNED_MAGIC,
    ChunkReader,
    ExportUnreadable,
    FileSeal,
    checksum_frame,
    signature_frame,
)
from gateway.core.namespace_entry import NamespaceEntry
from gateway.core.receipts import Receipt
from gateway.core.signatures import Signer
from gateway.core.types import Answer, DeterminismClass, Namespace

ZSTD_LEVEL = 9
MAX_LINE_BYTES = 2**28
# The most memory that decompression may need; the level above needs 8 MiB.
MAX_WINDOW_BYTES = 2**27
# The year 5138: later than any time in an export, and one that can still be printed.
MAX_TIME = 1e11
_ISSUED = re.compile(r"[A-Za-z0-9_-]{0,1024}")


@dataclass(frozen=True, slots=True)
class ExportHeader:
    """The namespace, and the version of the gateway that wrote the file."""

    namespace: Namespace
    gateway: str


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A call with its answer, the digest of its canonical form, and its number in the file, from 1.

    `issued` is the identifier of the receipt that the exporting gateway issues for the answer.
    """

    number: int
    entry: NamespaceEntry
    call_digest: bytes
    issued: str = ""


@dataclass(frozen=True, slots=True)
class ExportTrailer:
    """How many calls there are, and how many flagged ones were omitted."""

    entries: int
    omitted: int


class ExportWriter:
    """Makes a file piece by piece: `begin`, `add` for each call, `end`. Holds no more than one piece in memory.

    Without a signer it is one of format version 1.
    """

    def __init__(self, signer: Signer | None = None) -> None:
        self._signer = signer
        self._compressor = zstandard.ZstdCompressor(ZSTD_LEVEL).compressobj()
        self._digest = sha256()
        self._entries = 0

    def begin(self, header: ExportHeader) -> bytes:
        magic = MAGIC if self._signer is None else SIGNED_MAGIC
        return self._hashed(magic + self._line({**asdict(header.namespace), "gateway": header.gateway}))

    def add(self, entry: NamespaceEntry, call_digest: bytes, issued: str = "") -> bytes:
        self._entries += 1
        answer = entry.answer
        row: dict[str, Any] = {
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
        if issued:
            row["issued"] = issued
        if answer.imported is not None:
            row["imported"] = receipts.origin_document(answer.imported)
        return self._hashed(self._line(row))

    def end(self, omitted: int) -> bytes:
        last = self._line({"entries": self._entries, "omitted": omitted}) + self._compressor.flush()
        return self._hashed(last) + checksum_frame(self.sha256) + self._signature()

    def _signature(self) -> bytes:
        return b"" if self._signer is None else signature_frame(self._signer, self.sha256)

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
    """The receipt of an answer, as if it had been computed here."""
    answer = entry.answer
    digest = sha256(answer.body).digest()
    return Receipt(entry.model, call_digest, answer.cls, answer.created, answer.upstream, digest)


def verify(chunks: Iterable[bytes]) -> str:
    """The SHA-256 of a whole and undamaged file, in hex; raises ExportUnreadable."""
    return seal_of(chunks).sha256


def seal_of(chunks: Iterable[bytes]) -> FileSeal:
    """The same with the key that the file is signed with; a signature that is not genuine is ExportUnreadable."""
    source = ChunkReader(chunks)
    while source.read(READ_BYTES):
        pass
    return FileSeal(source.sha256, source.signer)


def read(chunks: Iterable[bytes]) -> Iterator[ExportHeader | ExportRow | ExportTrailer]:
    """The lines of a file in order. Raises ExportUnreadable; damage that shows at the end only, after the rest."""
    source = ChunkReader(chunks)
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
        issued = row.get("issued", "")
        if not _ISSUED.fullmatch(issued):
            raise ValueError
        agrees = receipt_of(entry, call_digest).document() == receipt
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        raise ExportUnreadable(f"Call {number} in it is malformed.") from None
    if not agrees:
        raise ExportUnreadable(f"The receipt of call {number} in it does not match its answer.")
    return ExportRow(number, entry, call_digest, issued)


def _is_sample(pool: object, sample: int | None) -> bool:
    """Whether `Cache-Control` can ask for it."""
    named = pool is None or (isinstance(pool, str) and NAME_PATTERN.fullmatch(pool) is not None and sample is not None)
    return named and (sample is None or 1 <= sample <= MAX_SAMPLE)


def _trailer(row: Mapping[str, Any]) -> ExportTrailer:
    try:
        return ExportTrailer(int(row["entries"]), int(row["omitted"]))
    except (KeyError, TypeError, ValueError):
        raise ExportUnreadable("Its last line does not count the calls.") from None
