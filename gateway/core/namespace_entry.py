"""The bytes of an entry in a namespace: the call as it went upstream, and its answer.

Unlike a cache entry it can be decoded without knowing the call, so a namespace can be exported to a file and imported
elsewhere. In the store it is sealed with a key of its own.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from gateway.core import entry_codec, sealing
from gateway.core.cache_directives import CacheDirectives
from gateway.core.types import Answer, Call

FORMAT_VERSION = b"\1"
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
    fields = orjson.dumps([entry.endpoint, entry.target, entry.model, entry.flagged, entry.pool, entry.sample])
    head = FORMAT_VERSION + _LENGTH.pack(len(fields)) + fields + _LENGTH.pack(len(entry.body))
    return head, entry.body, *entry_codec.to_parts(entry.answer)


def decode(key: bytes, address: str, blob: bytes) -> NamespaceEntry | None:
    """The entry, or None for one that is broken, forged, or of another address or format version."""
    content = sealing.unseal(key, address, blob)
    return None if content is None else from_pieces([content])


def from_pieces(pieces: Sequence[bytes]) -> NamespaceEntry | None:
    """The entry in the bytes of one, in pieces, or None if they are of another format version."""
    if b"".join(entry_codec.cut(pieces, 0, len(FORMAT_VERSION))) != FORMAT_VERSION:
        return None
    fields, body_at = _part(pieces, len(FORMAT_VERSION))
    body, answer_at = _part(pieces, body_at)
    answer = entry_codec.from_pieces(pieces, begins=answer_at)
    if answer is None:
        return None
    endpoint, target, model, flagged, pool, sample = orjson.loads(fields)
    return NamespaceEntry(endpoint, target, model, flagged, body, pool, sample, answer)


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
