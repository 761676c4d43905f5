"""Whether an upstream's answer is one whole JSON object, found without making anything of its contents.

An answer of 60 MB of numbers becomes 950 MiB of Python objects if it is parsed. Here its members are validated where
they lie and skipped (msgspec's `Raw`); what that does not look at, texts that are not UTF-8 and numbers beyond float64,
is looked for in the text.
"""

import codecs
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

Text = bytes | memoryview
LARGE = 2**20
"""Nothing larger is copied as a whole."""
_SLICE = LARGE
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
# What matters of a number, of one length: digits are `0`, and an exponent has an `e`.
_SHAPES = bytes(ord("0") if chr(c).isdigit() else c | 32 if chr(c) in "eE" else c for c in range(128)) + bytes(128)
_HUGE = (b"0" * 309, b"e000", b"e+000")
_LONGEST = 400


def whole_members(body: Text) -> dict[str, msgspec.Raw] | None:
    """The members of one whole JSON object, unread; None for anything else."""
    members = members_of(body)
    if members is None or not _is_utf8(body) or (_may_be_huge(body) and not _is_json(body)):
        return None
    return members


def members_of(body: Text) -> dict[str, msgspec.Raw] | None:
    """The members of a JSON object, of texts that may be no UTF-8 and numbers that may be too large."""
    try:
        return _MEMBERS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_object(value: Any) -> bool:
    return bytes(memoryview(value)[:1]) == b"{"


def count(body: Text, mark: bytes) -> int:
    """How often this byte is in the text."""
    return sum(part.count(mark) for part in slices(body))


def slices(body: Text) -> Iterator[bytes]:
    """The text in pieces."""
    view = memoryview(body)
    for at in range(0, len(view), _SLICE):
        yield bytes(view[at : at + _SLICE])


def _is_utf8(body: Text) -> bool:
    decoder, view = codecs.getincrementaldecoder("utf-8")(), memoryview(body)
    try:
        for at in range(0, len(view), _SLICE):
            decoder.decode(view[at : at + _SLICE], at + _SLICE >= len(view))
    except UnicodeDecodeError:
        return False
    return True


def _may_be_huge(body: Text) -> bool:
    """Whether a number may be too large for float64: rare, and left to a parser that reads it."""
    view = memoryview(body)
    for at in range(0, len(view), _SLICE):
        shapes = bytes(view[at : at + _SLICE + _LONGEST]).translate(_SHAPES)
        if any(huge in shapes for huge in _HUGE):
            return True
    return False


def _is_json(body: Text) -> bool:
    try:
        orjson.loads(memoryview(body))
    except orjson.JSONDecodeError:
        return False
    return True
