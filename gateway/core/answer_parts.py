"""Reading the parts of an opened answer: each function says None where the part is not what it reads.

Arrays of numbers that may be large are measured in their text, by counting brackets and commas.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import numpy as np

from gateway.core.whole_answer import slices

T = TypeVar("T")
Ids = list[int]
_IDS, _ROWS = msgspec.json.Decoder(list[int]), msgspec.json.Decoder(list[list[int]])
_NUMBERS, _NUMBER_ROWS = msgspec.json.Decoder(list[float]), msgspec.json.Decoder(list[list[float]])
_TEXT, _TEXTS = msgspec.json.Decoder(str), msgspec.json.Decoder(list[str])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_BLANKS = b" \t\r\n"
_NOTHING = frozenset({b"null", b"[]", b"{}", b'""'})
_OPEN = ord("[")
_NOT_NUMBERS, _NOT_NUMBERS_OR_NULL = (
    re.compile(rb"[^0-9eE+\-.,\[\] \t\r\n]"),
    re.compile(rb"[^0-9eE+\-.,\[\] \t\r\nnul]"),
)
_DIGIT = re.compile(rb"[0-9]")


@dataclass(frozen=True, slots=True)
class Extent:
    """An array of arrays of numbers: how many rows of numbers, and how many numbers in each."""

    rows: int
    width: int


def is_missing(part: Any) -> bool:
    """Whether there is no member, or nothing in it."""
    if isinstance(part, dict):
        return not part
    return part is None or (len(part) < 16 and bytes(part).translate(None, _BLANKS) in _NOTHING)


def is_null(part: Any) -> bool:
    """Whether there is no member, or null in it."""
    return part is None or part == b"null"


def ids(part: Any) -> Ids | None:
    """A list of whole numbers, 5.0 being one."""
    found = _read(_IDS, part)
    return found if found is not None else _whole(_read(_NUMBERS, part))


def rows(part: Any) -> list[Ids] | None:
    """A list of lists of whole numbers."""
    found = _read(_ROWS, part)
    if found is not None:
        return found
    spelled = [_whole(row) for row in _read(_NUMBER_ROWS, part) or ()]
    return [row for row in spelled if row is not None] if spelled and None not in spelled else None


def text(part: Any) -> str | None:
    return _read(_TEXT, part)


def texts(part: Any) -> list[str] | None:
    """A list of texts."""
    return _read(_TEXTS, part)


def items(part: Any) -> Sequence[Any] | None:
    """The items of a list, unread."""
    return _read(_ITEMS, part)


def has_digits(part: Any) -> bool:
    """Whether there is any number in it."""
    return is_text(part) and any(_DIGIT.search(piece) for piece in slices(part))


def is_text(part: Any) -> bool:
    """Whether this is a part that was not opened."""
    return isinstance(part, bytes | memoryview)


def extent(part: Any, *, nulls: bool = False) -> Extent | None:
    """The size of an array of numbers and nothing else (or null in places), all rows of one length."""
    if not is_text(part):
        return None
    alien = _NOT_NUMBERS_OR_NULL if nulls else _NOT_NUMBERS
    rows = commas = 0
    last = b""
    for piece in slices(part):
        if alien.search(piece):
            return None
        plain = last + piece.translate(None, _BLANKS)
        # A row of numbers opens, and no other bracket follows. The last byte is looked at with what comes after it.
        opens = np.frombuffer(plain, np.uint8) == _OPEN
        rows += int(np.count_nonzero(opens[:-1] & ~opens[1:]))
        commas += plain.count(b",") - last.count(b",")
        if b"[]" in plain:
            return None
        last = plain[-1:]
    # In any tree there is one comma less than there are leaves.
    leaves = commas + 1
    return Extent(rows, leaves // rows) if rows and leaves % rows == 0 else None


def _whole(numbers: list[float] | None) -> Ids | None:
    if numbers is None or not all(map(float.is_integer, numbers)):
        return None
    return list(map(int, numbers))


def _read(decoder: "msgspec.json.Decoder[T]", part: Any) -> T | None:
    try:
        return decoder.decode(part) if is_text(part) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
