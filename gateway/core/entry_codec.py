"""What is inside a sealed cache entry: a small header and the answer's bytes in zstd, no pickle, no code."""

import struct
from dataclasses import replace
from functools import cache

import zstandard

from gateway.core import sealing
from gateway.core.types import Answer, DeterminismClass

FORM = 2
PACKED_FROM = 1024
"""Smaller bodies are not compressed: what it saves is less than what it costs."""
LEVEL = 1
_HEAD = struct.Struct(">BBBddB")  # form, class, marks, created, took, length of the upstream's name
_CODES = {DeterminismClass.EXACT: 1, DeterminismClass.PINNED: 2, DeterminismClass.SAMPLED: 3, DeterminismClass.UNKNOWN: 4}
_CLASSES = {code: cls for cls, code in _CODES.items()}
_FRAMED, _PACKED = 1, 2


@cache
def _compressor() -> zstandard.ZstdCompressor:
    # Each has half a megabyte to work in; to ask for that anew took five times as long as the work.
    return zstandard.ZstdCompressor(level=LEVEL)


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


def encode(key: bytes, address: str, answer: Answer, nonce: bytes) -> bytes:
    """A sealed entry for this address."""
    return sealing.seal(key, address, to_bytes(answer), nonce)


def decode(key: bytes, address: str, blob: bytes, max_bytes: int = 2**28) -> Answer | None:
    """The answer, or None for an entry that is broken, forged, made for another address, or larger than that."""
    content = sealing.unseal(key, address, blob)
    return None if content is None else from_bytes(content, max_bytes)


def compress(answer: Answer) -> Answer:
    """With its body in zstd, too, where that is worth while."""
    if answer.compressed is not None or len(answer.body) < PACKED_FROM:
        return answer
    return replace(answer, compressed=_compressor().compress(answer.body))


def to_bytes(answer: Answer) -> bytes:
    """An answer as the bytes of an entry, not sealed yet."""
    body, packed, name = answer.body, answer.compressed, answer.upstream.encode()[:255]
    purge_state = (_FRAMED if answer.is_template else 0) | (_PACKED if packed is not None else 0)
    head = _HEAD.pack(FORM, _CODES[answer.cls], purge_state, answer.created, answer.compute_s, len(name))
    return head + name + (body if packed is None else packed)


def from_bytes(content: bytes, max_bytes: int = 2**28) -> Answer | None:
    """The answer in the bytes of an entry, or None for bytes that are none."""
    if len(content) < _HEAD.size:
        return None
    form, code, purge_state, created, compute_s, length = _HEAD.unpack_from(content)
    cls, begins = _CLASSES.get(code), _HEAD.size + length
    if form != FORM or cls is None or len(content) < begins:
        return None
    body, packed = content[begins:], None
    if purge_state & _PACKED:
        packed = body
        try:
            # The size stands in the frame's head; one that claims more than may be kept is not believed.
            if zstandard.frame_content_size(packed) > max_bytes:
                return None
            body = _decompressor().decompress(packed)
        except zstandard.ZstdError:
            return None
    name = content[_HEAD.size : begins].decode("utf-8", "ignore")  # a long one is cut, perhaps within a character
    return Answer(body, created, cls, compute_s, name, packed, bool(purge_state & _FRAMED))
