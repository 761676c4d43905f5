"""What is inside a sealed cache entry: a small header and the answer's bytes in zstd, no pickle, no code."""

import struct
from dataclasses import replace
from functools import cache

import zstandard

from gateway.core import sealing
from gateway.core.types import Answer, DeterminismClass

FORMAT_VERSION = 2
COMPRESS_FROM_BYTES = 1024
"""Smaller bodies are not compressed: what it saves is less than what it costs."""
ZSTD_LEVEL = 1
_HEADER = struct.Struct(">BBBddB")  # form, class, marks, created, took, length of the upstream's name
_CODES = {
    DeterminismClass.EXACT: 1,
    DeterminismClass.PINNED: 2,
    DeterminismClass.SAMPLED: 3,
    DeterminismClass.UNKNOWN: 4,
}
_CLASSES = {code: cls for cls, code in _CODES.items()}
_TEMPLATE, _COMPRESSED = 1, 2


@cache
def _compressor() -> zstandard.ZstdCompressor:
    # Each has half a megabyte to work in; to ask for that anew took five times as long as the work.
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL)


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


def encode(key: bytes, cache_key: str, answer: Answer, nonce: bytes) -> bytes:
    """A sealed entry for this address."""
    return sealing.seal(key, cache_key, to_bytes(answer), nonce)


def decode(key: bytes, cache_key: str, blob: bytes, max_bytes: int = 2**28) -> Answer | None:
    """The answer, or None for an entry that is broken, forged, made for another address, or larger than that."""
    content = sealing.unseal(key, cache_key, blob)
    return None if content is None else from_bytes(content, max_bytes)


def compress(answer: Answer) -> Answer:
    """With its body in zstd, too, where that is worth while."""
    if answer.compressed is not None or len(answer.body) < COMPRESS_FROM_BYTES:
        return answer
    return replace(answer, compressed=_compressor().compress(answer.body))


def to_bytes(answer: Answer) -> bytes:
    """An answer as the bytes of an entry, not sealed yet."""
    body, compressed, name = answer.body, answer.compressed, answer.upstream.encode()[:255]
    flags = (_TEMPLATE if answer.is_template else 0) | (_COMPRESSED if compressed is not None else 0)
    head = _HEADER.pack(FORMAT_VERSION, _CODES[answer.cls], flags, answer.created, answer.compute_s, len(name))
    return head + name + (body if compressed is None else compressed)


def from_bytes(content: bytes, max_bytes: int = 2**28) -> Answer | None:
    """The answer in the bytes of an entry, or None for bytes that are none."""
    if len(content) < _HEADER.size:
        return None
    form, code, flags, created, compute_s, length = _HEADER.unpack_from(content)
    cls, begins = _CLASSES.get(code), _HEADER.size + length
    if form != FORMAT_VERSION or cls is None or len(content) < begins:
        return None
    body, compressed = content[begins:], None
    if flags & _COMPRESSED:
        compressed = body
        try:
            # The size stands in the frame's head; one that claims more than may be kept is not believed.
            if zstandard.frame_content_size(compressed) > max_bytes:
                return None
            body = _decompressor().decompress(compressed)
        except zstandard.ZstdError:
            return None
    name = content[_HEADER.size : begins].decode("utf-8", "ignore")  # a long one is cut, perhaps within a character
    return Answer(body, created, cls, compute_s, name, compressed, bool(flags & _TEMPLATE))
