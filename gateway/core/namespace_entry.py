"""The bytes of an entry in a namespace: the call as it went upstream, and its answer.

Unlike a cache entry it can be decoded without knowing the call, so a namespace can be exported to a file and imported
elsewhere. In the store it is sealed with a key of its own.
"""

import struct
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
    fields = [entry.endpoint, entry.target, entry.model, entry.flagged, entry.pool, entry.sample]
    parts = (_with_length(orjson.dumps(fields)), _with_length(entry.body), entry_codec.to_bytes(entry.answer))
    return sealing.seal(key, address, FORMAT_VERSION + b"".join(parts), nonce)


def decode(key: bytes, address: str, blob: bytes) -> NamespaceEntry | None:
    """The entry, or None for one that is broken, forged, or of another address or format version."""
    content = sealing.unseal(key, address, blob)
    if content is None or content[:1] != FORMAT_VERSION:
        return None
    fields, body_at = _part(content, len(FORMAT_VERSION))
    body, answer_at = _part(content, body_at)
    answer = entry_codec.from_bytes(content[answer_at:])
    if answer is None:
        return None
    endpoint, target, model, flagged, pool, sample = orjson.loads(fields)
    return NamespaceEntry(endpoint, target, model, flagged, body, pool, sample, answer)


def _with_length(part: bytes) -> bytes:
    return _LENGTH.pack(len(part)) + part


def _part(content: bytes, at: int) -> tuple[bytes, int]:
    """The part that begins here, and where it ends."""
    (length,) = _LENGTH.unpack_from(content, at)
    end = at + _LENGTH.size + length
    return content[at + _LENGTH.size : end], end
