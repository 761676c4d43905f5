"""Receipts: where an answer came from, as an identifier that a methods section can cite.

A receipt is stored nowhere: its identifier contains all of it, encrypted and authenticated (AES-SIV, RFC 5297), so
none can be lost or forged. The same answer to the same call always has the same identifier. Without the gateway's
secret an identifier reveals nothing, so it may be published.
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

from gateway.core.sealing import every
from gateway.core.types import DeterminismClass

FORMAT_VERSION = 1
MAX_IDENTIFIER_CHARS = 1024
MAX_NAME_BYTES = 255
_HEADER = struct.Struct(">BBd32s32sBB")  # format version, class, computed, call, answer, lengths of model and upstream
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
    fields = code, receipt.computed, receipt.call, receipt.answer
    header = _HEADER.pack(FORMAT_VERSION, *fields, len(model), len(upstream))
    return urlsafe_b64encode(_cipher(key).encrypt(header + model + upstream, None)).rstrip(b"=").decode()


def decode(key: bytes, identifier: str) -> Receipt | None:
    """The receipt, or None for an identifier that was made neither with this key nor with one of its others."""
    return next((found for each in every(key) if (found := _decoded(each, identifier)) is not None), None)


def _decoded(key: bytes, identifier: str) -> Receipt | None:
    if len(identifier) > MAX_IDENTIFIER_CHARS:
        return None
    try:
        sealed = urlsafe_b64decode(identifier.encode("ascii") + b"=" * (-len(identifier) % 4))
        content = _cipher(key).decrypt(sealed, None)
    except (Error, ValueError, InvalidTag):
        return None
    version, code, computed, call, answer, m, u = _HEADER.unpack_from(content)
    # A base64 decoder skips foreign characters; only one spelling of a receipt is accepted.
    if version != FORMAT_VERSION or urlsafe_b64encode(sealed).rstrip(b"=") != identifier.encode():
        return None
    names = content[_HEADER.size :]
    return Receipt(names[:m].decode(), call, _CLASSES[code], computed, names[m : m + u].decode(), answer)


def _cut(name: str) -> bytes:
    """The name, cut to the whole characters that fit."""
    return name.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore").encode()
