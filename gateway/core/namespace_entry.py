"""What a namespace holds of one call: the call itself, as it went upstream, and its answer.

Unlike an entry of the cache it can be read without knowing the call, so that a namespace can be written into a file
and read in elsewhere. Sealed under its own purpose and address while it lies in a store.
"""

import struct
from dataclasses import dataclass

import orjson

from gateway.core import entry_codec, sealing
from gateway.core.cache_directives import CacheDirectives
from gateway.core.types import Answer, Call

FORMAT_VERSION = b"\1"
"""First in every record: one that was written in another form is not taken for one of this."""
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class NamespaceEntry:
    """`body` is the canonical call as JSON, `target` its path and query; `pool` and `sample` as they were asked for."""

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
        return cls(
            call.endpoint, call.target, call.model, call.flagged, call.body, directives.pool, directives.sample, answer
        )


def encode(key: bytes, cache_key: str, entry: NamespaceEntry, nonce: bytes) -> bytes:
    """A sealed record for this address."""
    fields = [entry.endpoint, entry.target, entry.model, entry.flagged, entry.pool, entry.sample]
    head = orjson.dumps(fields)
    parts = (
        FORMAT_VERSION,
        _LENGTH.pack(len(head)),
        head,
        _LENGTH.pack(len(entry.body)),
        entry.body,
        entry_codec.to_bytes(entry.answer),
    )
    return sealing.seal(key, cache_key, b"".join(parts), nonce)


def decode(key: bytes, cache_key: str, blob: bytes) -> NamespaceEntry | None:
    """The record, or None for one that is broken, forged, or was made for another address."""
    content = sealing.unseal(key, cache_key, blob)
    if content is None or content[:1] != FORMAT_VERSION:
        return None
    head, begins = _read_part(content, len(FORMAT_VERSION))
    body, begins = _read_part(content, begins)
    answer = entry_codec.from_bytes(content[begins:])
    if answer is None:
        return None
    endpoint, target, model, flagged, pool, sample = orjson.loads(head)
    return NamespaceEntry(endpoint, target, model, flagged, body, pool, sample, answer)


def _read_part(content: bytes, begins: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(content, begins)
    ends = begins + _LENGTH.size + length
    return content[begins + _LENGTH.size : ends], ends
