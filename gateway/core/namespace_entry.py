"""The bytes of an entry in a namespace: the call as it went upstream, and its answer.

Unlike a cache entry it can be decoded without knowing the call, so a namespace can be exported to a file and imported
elsewhere. In the store it is sealed with a key of its own.

An entry that was imported says from which file, in a format of its own: the others stay readable by earlier releases,
which may run beside this one for a while and would replace what they cannot read.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from gateway.core import entry_codec, sealing
from gateway.core.cache_directives import CacheDirectives
from gateway.core.types import Answer, Call, Imported

# No entry of the cache begins with either (core/entry_codec.py).
FORMAT_VERSION, IMPORTED_VERSION = b"\1", b"\x81"
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class NamespaceEntry:
    """`body` is the normalised call as JSON, `target` its path and query; `pool` and `sample` are the caller's."""

    endpoint: str
    target: str
    model: str
    flagged: bool
    body: bytes
    pool: str | None
    sample: int | None
    answer: Answer

    @classmethod
    def of(cls, call: Call, directives: CacheDirectives, answer: Answer) -> "NamespaceEntry":
        pool, sample = directives.pool, directives.sample
        return cls(call.endpoint, call.target, call.model, call.flagged, call.body, pool, sample, answer)


def encode(key: bytes, address: str, entry: NamespaceEntry, nonce: bytes) -> bytes:
    """A sealed entry for this address (namespace and cache key)."""
    return sealing.seal(key, address, b"".join(to_parts(entry)), nonce)


def to_parts(entry: NamespaceEntry) -> tuple[bytes, ...]:
    """The bytes of an entry before sealing, in parts."""
    origin = entry.answer.imported
    told = [entry.endpoint, entry.target, entry.model, entry.flagged, entry.pool, entry.sample]
    fields = orjson.dumps(told if origin is None else [*told, _origin_fields(origin)])
    head = (
        (FORMAT_VERSION if origin is None else IMPORTED_VERSION)
        + _LENGTH.pack(len(fields))
        + fields
        + _LENGTH.pack(len(entry.body))
    )
    return head, entry.body, *entry_codec.to_parts(entry.answer)


def decode(key: bytes, address: str, blob: bytes) -> NamespaceEntry | None:
    """The entry, or None for one that is broken, forged, or of another address or format version."""
    content = sealing.unseal(key, address, blob)
    return None if content is None else from_pieces([content])


def from_pieces(pieces: Sequence[bytes]) -> NamespaceEntry | None:
    """The entry in the bytes of one, in pieces, or None if they are of another format version."""
    if b"".join(entry_codec.cut(pieces, 0, len(FORMAT_VERSION))) not in (FORMAT_VERSION, IMPORTED_VERSION):
        return None
    fields, body_at = _part(pieces, len(FORMAT_VERSION))
    body, answer_at = _part(pieces, body_at)
    answer = entry_codec.from_pieces(pieces, begins=answer_at)
    if answer is None:
        return None
    endpoint, target, model, flagged, pool, sample, *origin = orjson.loads(fields)
    if origin:
        answer = replace(answer, imported=_origin_of(*origin[0]))
    return NamespaceEntry(endpoint, target, model, flagged, body, pool, sample, answer)


def _origin_fields(origin: Imported) -> list[object]:
    return [origin.file.hex(), origin.at, origin.by, origin.signer.hex(), origin.trusted, origin.issued]


def _origin_of(file: str, at: float, by: str, signer: str, trusted: bool, issued: str) -> Imported:
    return Imported(bytes.fromhex(file), at, by, bytes.fromhex(signer), trusted, issued)


def size_of_pieces(pieces: Sequence[bytes]) -> int:
    """How many bytes `from_pieces` will handle."""
    _, body_at = _part(pieces, len(FORMAT_VERSION))
    _, answer_at = _part(pieces, body_at)
    return answer_at + entry_codec.size_of_pieces(pieces, answer_at)


def _part(pieces: Sequence[bytes], at: int) -> tuple[bytes, int]:
    """The part that begins here, and where it ends."""
    (length,) = _LENGTH.unpack(b"".join(entry_codec.cut(pieces, at, at + _LENGTH.size)))
    end = at + _LENGTH.size + length
    return b"".join(entry_codec.cut(pieces, at + _LENGTH.size, end)), end
