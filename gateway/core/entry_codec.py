"""The bytes of a cache entry: a small header and the answer's body, compressed with zstd. No pickle, no code."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import zstandard

from gateway.core import sealing
from gateway.core.object_sizes import shrunk
from gateway.core.types import Answer, DeterminismClass

FORMAT_VERSION = 2
COMPRESS_FROM_BYTES = 1024
"""Compressing smaller bodies costs more than it saves."""
LARGE_BYTES = 2**20
"""Handled in threads, side by side; a compressor is for one thread."""
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
    if len(answer.body) > LARGE_BYTES:
        return replace(answer, compressed=zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(answer.body))
    return replace(answer, compressed=shrunk(_compressor().compress(answer.body)))


def to_bytes(answer: Answer) -> bytes:
    """The bytes of an entry before sealing."""
    return b"".join(to_parts(answer))


def to_parts(answer: Answer) -> tuple[bytes, bytes]:
    """The same in two parts, of which the second is the body, compressed or not."""
    body, compressed, name = answer.body, answer.compressed, answer.upstream.encode()[:255]
    flags = (_TEMPLATE if answer.is_template else 0) | (_COMPRESSED if compressed is not None else 0)
    header = _HEADER.pack(FORMAT_VERSION, _CODES[answer.cls], flags, answer.created, answer.compute_s, len(name))
    return header + name, body if compressed is None else compressed


def from_bytes(content: bytes, max_bytes: int = 2**28) -> Answer | None:
    """The answer in the bytes of an entry, or None if they are not an entry."""
    return from_pieces((content,), max_bytes)


def from_pieces(pieces: Sequence[bytes], max_bytes: int = 2**28, begins: int = 0) -> Answer | None:
    """The same in pieces, from a place in them on; copied by joining alone, which lets other threads run."""
    head = b"".join(cut(pieces, begins, begins + _HEADER.size))
    if len(head) < _HEADER.size:
        return None
    version, code, flags, created, compute_s, length = _HEADER.unpack(head)
    cls, name_at, body_at = _CLASSES.get(code), begins + _HEADER.size, begins + _HEADER.size + length
    if version != FORMAT_VERSION or cls is None or sum(map(len, pieces)) < body_at:
        return None
    name = b"".join(cut(pieces, name_at, body_at)).decode("utf-8", "ignore")  # it may have been cut within a character
    body, compressed = b"".join(cut(pieces, body_at)), None
    if flags & _COMPRESSED:
        compressed, unpacked = body, _unpacked(body, max_bytes)
        if unpacked is None:
            return None
        body = unpacked
    return Answer(body, created, cls, compute_s, name, compressed, bool(flags & _TEMPLATE))


def size_of_pieces(pieces: Sequence[bytes], begins: int = 0) -> int:
    """How many bytes `from_pieces` will handle: of a compressed entry those that its frame states."""
    size = sum(map(len, pieces)) - begins
    head = b"".join(cut(pieces, begins, begins + _HEADER.size + 255 + 18))
    if len(head) < _HEADER.size or not head[2] & _COMPRESSED:
        return size
    try:
        # RFC 8878 section 3.1.1.1: at most 18 bytes of a frame tell its size.
        return max(size, zstandard.frame_content_size(head[_HEADER.size + head[_HEADER.size - 1] :]))
    except zstandard.ZstdError:
        return size


def cut(pieces: Sequence[bytes], begins: int, ends: int | None = None) -> list[bytes]:
    """The pieces between two places, of which only the first and the last are copied."""
    found, at = [], 0
    for piece in pieces:
        low, high = max(0, begins - at), len(piece) if ends is None else min(len(piece), ends - at)
        if low < high:
            found.append(piece[low:high])
        at += len(piece)
    return found


def _unpacked(compressed: bytes, max_bytes: int) -> bytes | None:
    try:
        # The zstd frame states its size: one above the limit is refused before it is decompressed.
        size = zstandard.frame_content_size(compressed)
        if size > max_bytes:
            return None
        decompressor = zstandard.ZstdDecompressor() if size > LARGE_BYTES else _decompressor()
        return decompressor.decompress(compressed)
    except zstandard.ZstdError:
        return None
