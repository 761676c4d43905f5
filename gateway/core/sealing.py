"""Sealed bytes: AES-256-GCM, with the place a record belongs to as associated data.

Anyone able to write to a store can neither forge a record, nor change one, nor put one in another's place: `unseal`
answers None for all of these. Keys are derived from the gateway's one secret by HKDF, one for each purpose.
"""

from collections.abc import Iterator, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = b"\x01"
NONCE_BYTES, TAG_BYTES = 12, 16
SLICE_BYTES = 2**18
"""Sealed within a fifth of a millisecond."""


class NotSealedHere(ValueError):
    """The bytes were not sealed with this key for this address."""


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
    if len(blob) < 1 + NONCE_BYTES + TAG_BYTES or blob[:1] != VERSION:
        return None
    try:
        return AESGCM(key).decrypt(blob[1 : 1 + NONCE_BYTES], blob[1 + NONCE_BYTES :], VERSION + address.encode())
    except InvalidTag:
        return None


def seal_in_slices(key: bytes, address: str, parts: Sequence[bytes], nonce: bytes) -> Iterator[bytes]:
    """What `seal` answers for these parts together, piece by piece: others may have a turn between two."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError("a nonce has 12 bytes")
    encryptor = Cipher(AES256(key), GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(VERSION + address.encode())
    yield VERSION + nonce
    for part in parts:
        yield from map(encryptor.update, _slices(memoryview(part)))
    yield encryptor.finalize() + encryptor.tag


def unseal_in_slices(key: bytes, address: str, blob: bytes) -> Iterator[bytes]:
    """What `unseal` answers, piece by piece. Not to be believed before the end: only there NotSealedHere is raised."""
    if len(blob) < 1 + NONCE_BYTES + TAG_BYTES or blob[:1] != VERSION:
        raise NotSealedHere
    content = memoryview(blob)[1 + NONCE_BYTES : -TAG_BYTES]
    decryptor = Cipher(AES256(key), GCM(blob[1 : 1 + NONCE_BYTES], blob[-TAG_BYTES:])).decryptor()
    decryptor.authenticate_additional_data(VERSION + address.encode())
    yield from map(decryptor.update, _slices(content))
    try:
        yield decryptor.finalize()
    except InvalidTag:
        raise NotSealedHere from None


def _slices(view: memoryview) -> Iterator[memoryview]:
    return (view[at : at + SLICE_BYTES] for at in range(0, len(view), SLICE_BYTES))
