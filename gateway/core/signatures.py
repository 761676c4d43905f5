"""Signatures of a gateway (Ed25519, RFC 8032): on exported files, and on statements about receipts.

The key pair has nothing to do with the master secret: whoever checks a signature needs the public key alone, which may
be printed. A public key is written as `esmgw-ed25519-` and 43 characters.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES, SIGNATURE_BYTES = 32, 64
PREFIX = "esmgw-ed25519-"


class Signer:
    """A private key; it shows nothing of itself but the public one."""

    __slots__ = ("_key", "public_key")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key, self.public_key = key, key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"<Signer {public_text(self.public_key)}>"

    def sign(self, message: bytes) -> bytes:
        """64 bytes, always the same for the same message."""
        return self._key.sign(message)


def private_key_pem(seed: bytes) -> bytes:
    """The private key of 32 unpredictable bytes as PEM (PKCS #8), for a file."""
    return Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_private_key(pem: bytes) -> Signer:
    """The key in a file; raises ValueError for anything but an Ed25519 private key."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 private key in PEM")
    return Signer(key)


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of this key signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_text(public_key: bytes) -> str:
    """A public key as it is printed."""
    return PREFIX + urlsafe_b64encode(public_key).rstrip(b"=").decode()


def read_public_key(text: str) -> bytes | None:
    """The key in a text, or None for a text that is none; each key has one spelling."""
    if not text.startswith(PREFIX):
        return None
    try:
        key = urlsafe_b64decode(text.removeprefix(PREFIX).encode("ascii") + b"=")
    except (Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES and public_text(key) == text else None
