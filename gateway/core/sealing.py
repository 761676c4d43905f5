"""Sealed bytes: AES-256-GCM, with the place a record belongs to as associated data.

Anyone able to write to a store can neither forge a record, nor change one, nor put one in another's place: `unseal`
answers None for all of these. Keys are derived from the gateway's master secrets by HKDF, one for each purpose.

**Several secrets.** A `Secret` makes everything with its own bytes and reads what any of its `others` made. The sealed
form names its key by an id, so that a master can be replaced while the gateway runs, and what still needs the old one
can be counted.

**Nonces.** They are random, so no key may seal more than 2**32 times (NIST SP 800-38D, 8.3). Every address has a key of
its own, so that is a bound for one address: a record that is written again a hundred times a second reaches it in 16
months, a cache entry never.
"""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION, VERSION_1 = b"\x03", b"\x01"
"""The first version had neither a key id nor a key for each address; it is still read."""
ID_BYTES, NONCE_BYTES, TAG_BYTES = 4, 12, 16
SLICE_BYTES = 2**18
"""Sealed within a fifth of a millisecond."""


class Secret(bytes):
    """A secret in use. `others` read as well: those that it replaced, and the one that will replace it."""

    others: tuple[bytes, ...]

    def __new__(cls, current: bytes, others: Iterable[bytes] = ()) -> "Secret":
        made = super().__new__(cls, current)
        made.others = tuple(map(bytes, others))
        return made


def every(secret: bytes) -> tuple[bytes, ...]:
    """The secret itself, then the others that read. Plain bytes have no others."""
    return (bytes(secret), *secret.others) if isinstance(secret, Secret) else (secret,)


class NotSealedHere(ValueError):
    """The bytes were not sealed with this key for this address."""


def derive_key(secret: bytes, purpose: str) -> Secret:
    """A 32-byte key for one purpose (RFC 5869), and those of the secret's others."""
    current, *others = (_derived(each, purpose) for each in every(secret))
    return Secret(current, others)


@lru_cache(maxsize=256)
def key_id(key: bytes) -> bytes:
    """Four bytes that tell keys apart and say nothing about them."""
    return hmac.digest(key, b"esm-gateway/key-id", sha256)[:ID_BYTES]


def sealed_by(blob: bytes) -> bytes | None:
    """The id of the key that sealed these bytes, unverified; None for version 1 and for what was never sealed."""
    return blob[1 : 1 + ID_BYTES] if blob[:1] == VERSION and len(blob) > ID_BYTES else None


def is_current(key: bytes, address: str, blob: bytes) -> bool:
    """Whether the key itself sealed these bytes, and not one of its others."""
    named = sealed_by(blob)
    return unseal(bytes(key), address, blob) is not None if named is None else named == key_id(bytes(key))


def seal(key: bytes, address: str, content: bytes, nonce: bytes) -> bytes:
    """Version, key id, nonce, ciphertext with tag. The nonce must be 12 fresh unpredictable bytes."""
    head = _head(key, nonce)
    return head + nonce + AESGCM(_of_address(key, address)).encrypt(nonce, content, head + address.encode())


def unseal(key: bytes, address: str, blob: bytes) -> bytes | None:
    """The content, or None for anything that was not sealed with this key for this address."""
    for head, used in _candidates(key, address, blob):
        nonce, sealed = blob[len(head) : len(head) + NONCE_BYTES], blob[len(head) + NONCE_BYTES :]
        try:
            return AESGCM(used).decrypt(nonce, sealed, head + address.encode())
        except InvalidTag:
            continue
    return None


def seal_in_slices(key: bytes, address: str, parts: Sequence[bytes], nonce: bytes) -> Iterator[bytes]:
    """What `seal` answers for these parts together, piece by piece: others may have a turn between two."""
    head = _head(key, nonce)
    encryptor = Cipher(AES256(_of_address(key, address)), GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(head + address.encode())
    yield head + nonce
    for part in parts:
        yield from map(encryptor.update, _slices(memoryview(part)))
    yield encryptor.finalize() + encryptor.tag


def unseal_in_slices(key: bytes, address: str, blob: bytes) -> Iterator[bytes]:
    """What `unseal` answers, piece by piece. Not to be believed before the end: only there NotSealedHere is raised.

    The first version does not say whose key it needs: that is found by unsealing it once.
    """
    candidates = list(_candidates(key, address, blob))
    if len(candidates) > 1:
        candidates = [each for each in candidates if unseal(each[1], address, blob) is not None]
    if not candidates:
        raise NotSealedHere
    (head, used), *_ = candidates
    nonce, content = blob[len(head) : len(head) + NONCE_BYTES], memoryview(blob)[len(head) + NONCE_BYTES : -TAG_BYTES]
    decryptor = Cipher(AES256(used), GCM(nonce, blob[-TAG_BYTES:])).decryptor()
    decryptor.authenticate_additional_data(head + address.encode())
    yield from map(decryptor.update, _slices(content))
    try:
        yield decryptor.finalize()
    except InvalidTag:
        raise NotSealedHere from None


def _head(key: bytes, nonce: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES:
        raise ValueError("a nonce has 12 bytes")
    return VERSION + key_id(bytes(key))


def _candidates(key: bytes, address: str, blob: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What precedes the nonce, and the AES key, for each key that may have sealed this; a key that is named is one."""
    if blob[:1] == VERSION_1 and len(blob) >= 1 + NONCE_BYTES + TAG_BYTES:
        yield from ((VERSION_1, each) for each in every(key))
    if blob[:1] == VERSION and len(blob) >= 1 + ID_BYTES + NONCE_BYTES + TAG_BYTES:
        named = blob[1 : 1 + ID_BYTES]
        yield from ((VERSION + named, _of_address(each, address)) for each in every(key) if key_id(each) == named)


def _of_address(key: bytes, address: str) -> bytes:
    """The AES key of one address: HKDF-Expand (RFC 5869, 2.3) of a key that is random already."""
    return hmac.digest(key, b"esm-gateway/sealed/" + address.encode() + b"\x01", sha256)


def _derived(secret: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"esm-gateway/{purpose}".encode()).derive(secret)


def _slices(view: memoryview) -> Iterator[memoryview]:
    return (view[at : at + SLICE_BYTES] for at in range(0, len(view), SLICE_BYTES))
