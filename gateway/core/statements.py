"""Signed statements of what a receipt says, which anybody can check who has the gateway's public key.

A receipt's identifier can be read by the gateway alone that issued it. A statement is a JWS in compact form (RFC 7515)
with EdDSA (RFC 8037), so any library for such tokens can check it, too. The header names the public key (`kid`).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.core.signatures import Signer, is_signed, public_text, read_public_key

TYPE = "esm-gateway-receipt"
MAX_CHARS = 8192


@dataclass(frozen=True, slots=True)
class Statement:
    """What a genuine statement says, and whose it is."""

    public_key: bytes
    content: Mapping[str, Any]


def sign(signer: Signer, content: Mapping[str, Any]) -> str:
    """The statement; the same content always makes the same one."""
    header = {"alg": "EdDSA", "kid": public_text(signer.public_key), "typ": TYPE}
    signed = b".".join(_encoded(orjson.dumps(part, option=orjson.OPT_SORT_KEYS)) for part in (header, content))
    return (signed + b"." + _encoded(signer.sign(signed))).decode()


def read(text: str) -> Statement | None:
    """The statement in a text; None if it is none, or if its signature is not that of the key it names."""
    parts = text.split(".")
    if len(text) > MAX_CHARS or len(parts) != 3:
        return None
    try:
        header, content, signature = (_decoded(part) for part in parts)
        named, told = orjson.loads(header), orjson.loads(content)
    except (Error, ValueError):
        return None
    if not isinstance(named, dict) or not isinstance(told, dict):
        return None
    key = read_public_key(str(named.get("kid")))
    if key is None or (named.get("alg"), named.get("typ")) != ("EdDSA", TYPE):
        return None
    return Statement(key, told) if is_signed(key, text.rpartition(".")[0].encode(), signature) else None


def _encoded(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


def _decoded(text: str) -> bytes:
    """Raises ValueError (or binascii.Error) for another spelling than the one that we write."""
    content = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if _encoded(content) != text.encode("ascii"):
        raise ValueError("not the only spelling")
    return content
