"""Base64 of one zstd frame, as the SDK packs large members of a body (esm/utils/compression.py): unpacking in bounds.

What is accepted can be read in one way only, so that it can be forwarded as it came: canonical base64, one frame and
nothing after it, its size declared in its header. The declared size is compared with the bound before anything is
unpacked, and is then exactly the memory that unpacking takes: zstd fails on a frame that holds more or less.
"""

import base64
import binascii
from collections.abc import Mapping

import zstandard


class PackedError(ValueError):
    """It cannot be unpacked; the message is safe to show and says why. `at` is the pointer of the member."""

    def __init__(self, at: str, reason: str) -> None:
        super().__init__(reason)
        self.at = at


class TakesLongError(Exception):
    """Reading this takes longer than an event loop may stand still: about 20 ms for each MiB unpacked."""


def unpack_all(packed: Mapping[str, str], max_bytes: int, at_once_bytes: int | None = None) -> dict[str, bytes]:
    """The contents, by pointer; raises PackedError. All of them together may have `max_bytes`.

    With `at_once_bytes`, TakesLongError is raised where they have more than that, before anything is unpacked.
    """
    frames = {at: _frame(at, text) for at, text in packed.items()}
    if at_once_bytes is not None and sum(_declared(at, frame) for at, frame in frames.items()) > at_once_bytes:
        raise TakesLongError
    left = max_bytes
    for at, frame in frames.items():
        left -= _declared(at, frame)
        if left < 0:
            raise PackedError(
                at, f"unpacks to more than the {max_bytes} bytes that all packed members together may have"
            )
    return {at: _unpacked(at, frame) for at, frame in frames.items()}


def _frame(at: str, text: str) -> bytes:
    try:
        frame = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PackedError(at, "should be base64") from None
    if base64.b64encode(frame) != text.encode():
        raise PackedError(at, "should be base64 whose unused bits are zero")
    return frame


def _declared(at: str, frame: bytes) -> int:
    try:
        size = zstandard.frame_content_size(frame)
    except zstandard.ZstdError:
        raise PackedError(at, "should be base64 of zstd") from None
    if size < 0:
        raise PackedError(at, "should declare its unpacked size, as zstd does for what is compressed in one call")
    return size


def _unpacked(at: str, frame: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError:
        raise PackedError(at, "should be one whole zstd frame and nothing else") from None
