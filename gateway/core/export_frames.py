"""The frames of an exported namespace: the format and its version, the content, its checksum, and the signature.

A file is Zstandard (RFC 8878) between skippable frames, which decompressors leave out. The first one holds the format
and its version, the next to last the SHA-256 of everything before it, and the last (from version 2 on) the public key
of the gateway that wrote the file, and its signature of that checksum.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from gateway.core.signatures import Signer, is_signed

READ_BYTES = 2**16
_SKIPPABLE = 0x184D2A50


def skippable(content: bytes) -> bytes:
    """A frame that decompressors leave out (RFC 8878 section 3.1.2)."""
    return struct.pack("<II", _SKIPPABLE, len(content)) + content


MAGIC = skippable(b"esm-gateway namespace 1\n")
SIGNED_MAGIC = skippable(b"esm-gateway namespace 2\n")
_ANY_VERSION = MAGIC[:-2]
CHECKSUM_FRAME_BYTES = len(skippable(b"sha256 " + b"0" * 64 + b"\n"))
SIGNATURE_FRAME_BYTES = len(skippable(b"ed25519 " + b"0" * 64 + b" " + b"0" * 128 + b"\n"))
_SIGNATURE = re.compile(rb"ed25519 ([0-9a-f]{64}) ([0-9a-f]{128})\n")


class ExportUnreadable(Exception):
    """The file is not an export, or is damaged. The message says what is wrong, in one sentence."""


@dataclass(frozen=True, slots=True)
class FileSeal:
    """The SHA-256 of a whole and undamaged file, in hex, and the public key that it is signed with, if it is."""

    sha256: str
    signer: bytes = b""


def checksum_frame(checksum: str) -> bytes:
    """The frame of a checksum in hex."""
    return skippable(b"sha256 " + checksum.encode() + b"\n")


def signature_frame(signer: Signer, checksum: str) -> bytes:
    """The frame that signs a checksum."""
    signed = signer.sign(_signed_text(checksum))
    return skippable(b"ed25519 %s %s\n" % (signer.public_key.hex().encode(), signed.hex().encode()))


def _signed_text(checksum: str) -> bytes:
    """What is signed: begins as no other text that a gateway signs."""
    return b"esm-gateway namespace 2\nsha256 " + checksum.encode() + b"\n"


class ChunkReader:
    """The compressed part of a file, in pieces; the frames before and after it are checked on the way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._digest = sha256()
        self._held = b""
        self._ended = False
        self._tail = CHECKSUM_FRAME_BYTES
        self.signer = b""
        start = self._take(len(MAGIC))
        if not start.startswith(_ANY_VERSION):
            raise ExportUnreadable("This is not an exported namespace.")
        if start == SIGNED_MAGIC:
            self._tail += SIGNATURE_FRAME_BYTES
        elif start != MAGIC:
            raise ExportUnreadable("It has a format version that this gateway does not know; use a newer gateway.")

    @property
    def sha256(self) -> str:
        """Of what has been read, in hex; at the end, of the whole file before its checksum."""
        return self._digest.hexdigest()

    def read(self, size: int = READ_BYTES) -> bytes:
        """At most `size` bytes; none at the end, after the checksum has been compared."""
        piece = self._take(max(1, size))
        if not piece and not self._ended:
            self._ended = True
            checksum, signature = self._held[:CHECKSUM_FRAME_BYTES], self._held[CHECKSUM_FRAME_BYTES:]
            if checksum != checksum_frame(self.sha256):
                raise ExportUnreadable("It is damaged or cut off: its content does not match its checksum.")
            if self._tail > CHECKSUM_FRAME_BYTES:
                self.signer = self._signer_of(signature)
        return piece

    def _signer_of(self, frame: bytes) -> bytes:
        """The key in the last frame, whose signature of this file is genuine."""
        found = _SIGNATURE.fullmatch(frame[len(skippable(b"")) :])
        if found is None or frame != skippable(found[0]):
            raise ExportUnreadable("It is damaged or cut off: its signature is not whole.")
        key, signature = (bytes.fromhex(part.decode()) for part in found.groups())
        if not is_signed(key, _signed_text(self.sha256), signature):
            raise ExportUnreadable("Its signature is not genuine.")
        return key

    def _take(self, size: int) -> bytes:
        """The next bytes before the last frame, which is held back."""
        while len(self._held) < size + self._tail:
            more = next(self._chunks, None)
            if more is None:
                break
            self._held += more
        cut = max(0, min(size, len(self._held) - self._tail))
        piece, self._held = self._held[:cut], self._held[cut:]
        self._digest.update(piece)
        return piece
