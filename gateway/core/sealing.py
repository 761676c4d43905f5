"""Sealed bytes: AES-256-GCM, with the place a record belongs to as associated data.

Anyone able to write to a store can neither forge a record, nor change one, nor put one in another's place: `unseal`
answers None for all of these. Keys are derived from the gateway's one secret by HKDF, one for each purpose.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = b"\x01"
NONCE_BYTES = 12


def derive_key(secret: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"esm-gateway/{purpose}".encode()).derive(secret)


def seal(key: bytes, address: str, content: bytes, nonce: bytes) -> bytes:
    """Version, nonce, ciphertext with tag. The nonce must be 12 fresh unpredictable bytes."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError("a nonce has 12 bytes")
    return VERSION + nonce + AESGCM(key).encrypt(nonce, content, VERSION + address.encode())


def unseal(key: bytes, address: str, blob: bytes) -> bytes | None:
    """The content, or None for anything that was not sealed with this key for this address."""
    if len(blob) < 1 + NONCE_BYTES + 16 or blob[:1] != VERSION:
        return None
    try:
        return AESGCM(key).decrypt(blob[1 : 1 + NONCE_BYTES], blob[1 + NONCE_BYTES :], VERSION + address.encode())
    except InvalidTag:
        return None
