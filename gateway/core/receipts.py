"""What a methods section can cite: where an answer came from, in an identifier that only the gateway can read.

A receipt is not kept anywhere: its identifier holds all of it, encrypted and authenticated (AES-SIV, RFC 5297), so
none is ever lost and none can be made up. The same answer to the same call always has the same identifier. Without
the gateway's secret an identifier says nothing, so it may be published.
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from gateway.core.types import DeterminismClass

FORMAT_VERSION = 1
MAX_IDENTIFIER_CHARS = 1024
MAX_NAME_BYTES = 255
_HEADER = struct.Struct(">BBd32s32sBB")  # form, class, computed, call, answer, lengths of model and upstream
_CLASSES = tuple(DeterminismClass)


@dataclass(frozen=True, slots=True)
class Receipt:
    """`call` is the SHA-256 of the canonical call, `answer` that of the answer's bytes; `computed` in epoch seconds."""

    model: str
    call: bytes
    cls: DeterminismClass
    computed: float
    upstream: str
    answer: bytes

    def document(self) -> Mapping[str, Any]:
        """As a caller reads it."""
        return {
            "model": self.model,
            "call_sha256": self.call.hex(),
            "answer_sha256": self.answer.hex(),
            "determinism": self.cls.value,
            "computed": datetime.fromtimestamp(self.computed, UTC).isoformat(timespec="milliseconds"),
            "upstream": self.upstream,
        }


@lru_cache(maxsize=8)
def _cipher(key: bytes) -> AESSIV:
    return AESSIV(key)


def encode(key: bytes, receipt: Receipt) -> str:
    """The identifier, in URL-safe characters. `key` has 32 bytes, for this purpose alone."""
    model, upstream = _cut(receipt.model), _cut(receipt.upstream)
    code = _CLASSES.index(receipt.cls)
    head = _HEADER.pack(FORMAT_VERSION, code, receipt.computed, receipt.call, receipt.answer, len(model), len(upstream))
    return urlsafe_b64encode(_cipher(key).encrypt(head + model + upstream, None)).rstrip(b"=").decode()


def decode(key: bytes, identifier: str) -> Receipt | None:
    """The receipt, or None for an identifier that this gateway did not make."""
    if len(identifier) > MAX_IDENTIFIER_CHARS:
        return None
    try:
        sealed = urlsafe_b64decode(identifier.encode("ascii") + b"=" * (-len(identifier) % 4))
        content = _cipher(key).decrypt(sealed, None)
    except (Error, ValueError, InvalidTag):
        return None
    form, code, computed, call, answer, m, u = _HEADER.unpack_from(content)
    # A reader of base64 skips what is none; a receipt has one spelling only.
    if form != FORMAT_VERSION or urlsafe_b64encode(sealed).rstrip(b"=") != identifier.encode():
        return None
    names = content[_HEADER.size :]
    return Receipt(names[:m].decode(), call, _CLASSES[code], computed, names[m : m + u].decode(), answer)


def _cut(name: str) -> bytes:
    """The name, or as many whole characters of it as fit."""
    return name.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore").encode()
