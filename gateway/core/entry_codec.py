"""The bytes of a cache entry: a small header and the answer's body, compressed with zstd. No pickle, no code."""

import struct
from dataclasses import replace
from functools import cache

import zstandard

from gateway.core import sealing
from gateway.core.object_sizes import shrunk
from gateway.core.types import Answer, DeterminismClass

FORMAT_VERSION = 2
COMPRESS_FROM_BYTES = 1024
"""Compressing smaller bodies costs more than it saves."""
ZSTD_LEVEL = 1
_HEADER = struct.Struct(">BBBddB")  # format version, class, flags, created, compute_s, length of the upstream's name
_CODES = {cls: code for code, cls in enumerate(DeterminismClass, start=1)}
_CLASSES = {code: cls for cls, code in _CODES.items()}
_TEMPLATE, _COMPRESSED = 1, 2


@cache
def _compressor() -> zstandard.ZstdCompressor:
    # Each has half a megabyte of work space; allocating that anew took five times as long as the work.
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL)


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


def encode(key: bytes, cache_key: str, answer: Answer, nonce: bytes) -> bytes:
    """A sealed entry for this cache key."""
    return sealing.seal(key, cache_key, to_bytes(answer), nonce)


def decode(key: bytes, cache_key: str, blob: bytes, max_bytes: int = 2**28) -> Answer | None:
    """The answer, or None for an entry that is broken, forged, of another cache key, or larger than `max_bytes`."""
    content = sealing.unseal(key, cache_key, blob)
    return None if content is None else from_bytes(content, max_bytes)


def compress(answer: Answer) -> Answer:
    """The answer with its compressed body beside it, where compressing is worth it."""
    if answer.compressed is not None or len(answer.body) < COMPRESS_FROM_BYTES:
        return answer
    return replace(answer, compressed=shrunk(_compressor().compress(answer.body)))


def to_bytes(answer: Answer) -> bytes:
    """The bytes of an entry before sealing."""
    body, compressed, name = answer.body, answer.compressed, answer.upstream.encode()[:255]
    flags = (_TEMPLATE if answer.is_template else 0) | (_COMPRESSED if compressed is not None else 0)
    header = _HEADER.pack(FORMAT_VERSION, _CODES[answer.cls], flags, answer.created, answer.compute_s, len(name))
    return header + name + (body if compressed is None else compressed)


def from_bytes(content: bytes, max_bytes: int = 2**28) -> Answer | None:
    """The answer in the bytes of an entry, or None if they are not an entry."""
    if len(content) < _HEADER.size:
        return None
    version, code, flags, created, compute_s, length = _HEADER.unpack_from(content)
    cls, body_at = _CLASSES.get(code), _HEADER.size + length
    if version != FORMAT_VERSION or cls is None or len(content) < body_at:
        return None
    body, compressed = content[body_at:], None
    if flags & _COMPRESSED:
        compressed = body
        try:
            # The zstd frame states its size: one above the limit is refused before it is decompressed.
            if zstandard.frame_content_size(compressed) > max_bytes:
                return None
            body = _decompressor().decompress(compressed)
        except zstandard.ZstdError:
            return None
    name = content[_HEADER.size : body_at].decode("utf-8", "ignore")  # it may have been cut within a character
    return Answer(body, created, cls, compute_s, name, compressed, bool(flags & _TEMPLATE))
