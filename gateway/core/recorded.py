"""What a namespace holds of one call: the call itself, as it went upstream, and its answer.

Unlike an entry of the cache it can be read without knowing the call, so that a namespace can be written into a file
and read in elsewhere. Sealed under its own purpose and address while it lies in a store.
"""

import struct
from dataclasses import dataclass

import orjson

from gateway.core import entries, envelope
from gateway.core.nouns import Answer, Call
from gateway.core.wish import Wish

FORM = b"\1"
"""First in every record: one that was written in another form is not taken for one of this."""
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Recorded:
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
    def of(cls, call: Call, asked: Wish, answer: Answer) -> "Recorded":
        return cls(call.endpoint, call.target, call.model, call.flagged, call.body, asked.pool, asked.sample, answer)


def close(key: bytes, address: str, entry: Recorded, nonce: bytes) -> bytes:
    """A sealed record for this address."""
    facts = [entry.endpoint, entry.target, entry.model, entry.flagged, entry.pool, entry.sample]
    head = orjson.dumps(facts)
    parts = (
        FORM,
        _LENGTH.pack(len(head)),
        head,
        _LENGTH.pack(len(entry.body)),
        entry.body,
        entries.write(entry.answer),
    )
    return envelope.seal(key, address, b"".join(parts), nonce)


def open_entry(key: bytes, address: str, blob: bytes) -> Recorded | None:
    """The record, or None for one that is broken, forged, or was made for another address."""
    content = envelope.unseal(key, address, blob)
    if content is None or content[:1] != FORM:
        return None
    head, begins = _part(content, len(FORM))
    body, begins = _part(content, begins)
    answer = entries.read(content[begins:])
    if answer is None:
        return None
    endpoint, target, model, flagged, pool, sample = orjson.loads(head)
    return Recorded(endpoint, target, model, flagged, body, pool, sample, answer)


def _part(content: bytes, begins: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(content, begins)
    ends = begins + _LENGTH.size + length
    return content[begins + _LENGTH.size : ends], ends
