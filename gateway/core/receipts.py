"""Receipts: where an answer came from, as an identifier that a methods section can cite.

A receipt is stored nowhere: its identifier contains all of it, encrypted and authenticated (AES-SIV, RFC 5297), so
none can be lost or forged. The same answer to the same call always has the same identifier. Without the gateway's
secret an identifier reveals nothing, so it may be published. Its short form is a digest of it, for print.

The receipt of an imported answer says so: that it was computed then and there is what a file says, and the receipt
names the file, who imported it and when, and what vouches for it.
"""

import struct
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from gateway.core.sealing import every
from gateway.core.signatures import KEY_BYTES, public_text
from gateway.core.types import DeterminismClass, Imported

FORMAT_VERSION, IMPORTED_VERSION = 1, 2
MAX_IDENTIFIER_CHARS = 1024
MAX_NAME_BYTES = 255
_HEADER = struct.Struct(">BBd32s32sBB")  # format version, class, computed, call, answer, lengths of model and upstream
# Of an imported answer: file, at, flags, length of the name; the name, and then whatever the flags announce.
_IMPORT = struct.Struct(">32sdBB")
_SIGNED, _TRUSTED, _ISSUED = 1, 2, 4
MAX_BY_BYTES = 64
SHORT_CHARS = 19
_CLASSES = tuple(DeterminismClass)


@dataclass(frozen=True, slots=True)
class Receipt:
    """`call` is the SHA-256 of the canonical call, `answer` that of the answer's bytes; `computed` in epoch seconds.

    With `imported`, upstream and time are what a file says.
    """

    model: str
    call: bytes
    cls: DeterminismClass
    computed: float
    upstream: str
    answer: bytes
    imported: Imported | None = None

    def document(self) -> Mapping[str, Any]:
        """As a caller reads it."""
        told: dict[str, Any] = {
            "model": self.model,
            "call_sha256": self.call.hex(),
            "answer_sha256": self.answer.hex(),
            "determinism": self.cls.value,
            "computed": _moment(self.computed),
            "upstream": self.upstream,
        }
        if self.imported is not None:
            told["imported"] = origin_document(self.imported)
        return told

    def citation(self, identifier: str) -> str:
        """What a methods section can say of it, in one line."""
        facts = f"{self.model} (class {self.cls}), computed {_moment(self.computed)} by {self.upstream}"
        origin = self.imported
        if origin is not None:
            vouched = "signed by a trusted gateway" if origin.trusted else "without a trusted signature"
            facts += f" as the file with SHA-256 {origin.file.hex()[:16]} says, {vouched}"
        return f"{facts}; esm-gateway receipt {short(identifier)}, answer SHA-256 {self.answer.hex()[:16]}"


@lru_cache(maxsize=8)
def _cipher(key: bytes) -> AESSIV:
    return AESSIV(key)


def encode(key: bytes, receipt: Receipt) -> str:
    """The identifier, in URL-safe characters. `key` has 32 bytes, for this purpose alone."""
    model, upstream = _cut(receipt.model), _cut(receipt.upstream)
    code = _CLASSES.index(receipt.cls)
    fields = code, receipt.computed, receipt.call, receipt.answer
    version = FORMAT_VERSION if receipt.imported is None else IMPORTED_VERSION
    header = _HEADER.pack(version, *fields, len(model), len(upstream))
    origin = b"" if receipt.imported is None else _import_bytes(receipt.imported)
    return urlsafe_b64encode(_cipher(key).encrypt(header + model + upstream + origin, None)).rstrip(b"=").decode()


def short(identifier: str) -> str:
    """The short form of an identifier: 80 bits of its SHA-256, as four groups of four letters and digits."""
    text = b32encode(sha256(identifier.encode()).digest()[:10]).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def told(receipt: Receipt, identifier: str) -> Mapping[str, Any]:
    """All that there is to say of a receipt."""
    names = {"receipt": identifier, "short": short(identifier)}
    origin = "computed" if receipt.imported is None else "imported"
    return {**names, **receipt.document(), "origin": origin, "citation": receipt.citation(identifier)}


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
    known = version in (FORMAT_VERSION, IMPORTED_VERSION)
    if not known or urlsafe_b64encode(sealed).rstrip(b"=") != identifier.encode():
        return None
    names = content[_HEADER.size :]
    imported = _import_of(names[m + u :]) if version == IMPORTED_VERSION else None
    return Receipt(names[:m].decode(), call, _CLASSES[code], computed, names[m : m + u].decode(), answer, imported)


def _import_bytes(origin: Imported) -> bytes:
    by = origin.by.encode()[:MAX_BY_BYTES].decode("utf-8", "ignore").encode()
    flags = (_SIGNED if origin.signer else 0) | (_TRUSTED if origin.trusted else 0) | (_ISSUED if origin.issued else 0)
    return _IMPORT.pack(origin.file, origin.at, flags, len(by)) + by + origin.signer + origin.issued.encode()


def _import_of(content: bytes) -> Imported:
    file, at, flags, length = _IMPORT.unpack_from(content)
    by, rest = content[_IMPORT.size : _IMPORT.size + length], content[_IMPORT.size + length :]
    signer, rest = (rest[:KEY_BYTES], rest[KEY_BYTES:]) if flags & _SIGNED else (b"", rest)
    issued = rest[:SHORT_CHARS].decode() if flags & _ISSUED else ""
    return Imported(file, at, by.decode(), signer, bool(flags & _TRUSTED), issued)


def origin_document(origin: Imported) -> Mapping[str, Any]:
    """Where an imported answer came from, as a caller reads it."""
    return {
        "file_sha256": origin.file.hex(),
        "at": _moment(origin.at),
        "by": origin.by,
        "signature": origin.signature,
        "signed_by": public_text(origin.signer) if origin.signer else None,
        "issued_as": origin.issued or None,
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _cut(name: str) -> bytes:
    """The name, cut to the whole characters that fit."""
    return name.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore").encode()
