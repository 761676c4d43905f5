"""What is inside a sealed cache entry: a small header and the answer's bytes, no pickle, no code."""

import struct

from gateway.core import envelope
from gateway.core.nouns import Answer, Class

_HEAD = struct.Struct(">Bd")
_CODES = {Class.EXACT: 1, Class.PINNED: 2}
_CLASSES = {code: cls for cls, code in _CODES.items()}


def close(key: bytes, address: str, answer: Answer, nonce: bytes) -> bytes:
    """A sealed entry for this address."""
    return envelope.seal(key, address, _HEAD.pack(_CODES[answer.cls], answer.created) + answer.body, nonce)


def open_entry(key: bytes, address: str, blob: bytes) -> Answer | None:
    """The answer, or None for an entry that is broken, forged, or was made for another address."""
    content = envelope.unseal(key, address, blob)
    if content is None or len(content) < _HEAD.size:
        return None
    code, created = _HEAD.unpack_from(content)
    cls = _CLASSES.get(code)
    return None if cls is None else Answer(content[_HEAD.size :], created, cls)
