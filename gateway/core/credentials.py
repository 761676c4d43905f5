"""Virtual keys: `esmgw_<public id>_<secret><checksum>`. A key itself is never stored.

The checksum (CRC-32 in base 62) lets a mistyped key be refused without a store call; it is no security feature. What
is stored is an HMAC-SHA-256 of the whole key under the gateway's own secret, with the id of that secret: a key whose
digest was made under an older one gets a new digest when it is next used, since only then is its text known.
"""

import hmac
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from gateway.core.sealing import every, key_id

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PUBLIC_CHARS, SECRET_CHARS, CHECK_CHARS = 12, 32, 6
_PATTERN = re.compile(rf"esmgw_([0-9A-Za-z]{{{PUBLIC_CHARS}}})_([0-9A-Za-z]{{{SECRET_CHARS + CHECK_CHARS}}})")
_ID = re.compile(rf"[0-9A-Za-z]{{{PUBLIC_CHARS}}}")
_MENTION = re.compile(rf"esmgw_({_ID.pattern})(?:_[0-9A-Za-z]*|(?![0-9A-Za-z]))")
_SECRET = re.compile(rf"(esmgw_[0-9A-Za-z]{{0,{PUBLIC_CHARS}}}_?)[0-9A-Za-z_]*")


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """A key as its holder sends it; `text` is the whole key."""

    public_id: str
    text: str = field(repr=False)


def mint(entropy: bytes) -> VirtualKey:
    """A new key from at least 44 unpredictable bytes (the small bias of modulo 62 leaves over 180 bits)."""
    if len(entropy) < PUBLIC_CHARS + SECRET_CHARS:
        raise ValueError("not enough entropy for a key")
    chars = "".join(ALPHABET[byte % 62] for byte in entropy[: PUBLIC_CHARS + SECRET_CHARS])
    public_id, secret = chars[:PUBLIC_CHARS], chars[PUBLIC_CHARS:]
    stem = f"esmgw_{public_id}_{secret}"
    return VirtualKey(public_id, stem + _checksum(stem))


def parse(text: str) -> VirtualKey | None:
    """The key, if it has the right shape and checksum."""
    match = _PATTERN.fullmatch(text)
    if match is None or _checksum(text[:-CHECK_CHARS]) != text[-CHECK_CHARS:]:
        return None
    return VirtualKey(match.group(1), text)


def mentioned(text: str) -> Mapping[str, VirtualKey | None]:
    """The keys that a text shows, by public id: the whole key where it is there, None where only the id is.

    An id alone is the whole text.
    """
    alone = text.strip()
    if _ID.fullmatch(alone):
        return {alone: None}
    found: dict[str, VirtualKey | None] = {}
    for match in _MENTION.finditer(text):
        found[match[1]] = parse(match[0]) or found.get(match[1])
    return found


def without_secrets(text: str) -> str:
    """The text with every key in it cut to what is public of it."""
    return _SECRET.sub(lambda match: f"{match[1]}..." if match[0] != match[1] else match[0], text)


def digest(key_pepper: bytes, key: VirtualKey) -> str:
    """What is stored in place of the key (64 hex digits): 8 of the pepper's id, and 56 of an HMAC-SHA-256."""
    named = _named(key_pepper)
    return named + _hmac(key_pepper, key)[: -len(named)]


def matches(key_pepper: bytes, key: VirtualKey, stored: str) -> bool:
    """Whether this key is the one whose digest was stored, under this pepper or one of its others; in constant time.

    A digest without a pepper's id is an HMAC in full: of the time when there was one pepper.
    """
    known = [form for each in every(key_pepper) for form in (digest(each, key), _hmac(each, key))]
    return sum(hmac.compare_digest(form.encode(), stored.encode()) for form in known) > 0


def is_current(key_pepper: bytes, stored: str) -> bool:
    """Whether a stored digest was made under this pepper itself, and not under one of its others."""
    return stored.startswith(_named(key_pepper))


def _named(key_pepper: bytes) -> str:
    return key_id(bytes(key_pepper)).hex()


def _hmac(key_pepper: bytes, key: VirtualKey) -> str:
    return hmac.digest(key_pepper, key.text.encode(), sha256).hex()


def _checksum(stem: str) -> str:
    value = zlib.crc32(stem.encode())
    chars = ""
    for _ in range(CHECK_CHARS):
        value, digit = divmod(value, 62)
        chars = ALPHABET[digit] + chars
    return chars
