"""Multiple sequence alignments that come with a call to fold: as plain JSON, or packed (esm/utils/compression.py).

A packed one is unpacked and checked like a plain one. It is forwarded as it came, since it can be read in one way only:
packing it again would cost more, and the call would have other bytes with every release of zstd. For the same reason
the canonical form of a call has what it holds.

Deletion counts are most of an alignment (five bytes a number). They are read row by row and never kept, so that memory
stays near the unpacked size.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Final

import orjson
from pydantic import Field, ValidationError

from gateway.core import packed_json
from gateway.core.endpoint import Body, ParseConfig, field_errors
from gateway.core.packed_json import PackedError
from gateway.core.problems import CALL_INVALID, FieldError, Problem

MAX_DEPTH: Final = 16384
"""Sequences of one alignment (esm/utils/constants/models.py, ESMFOLD2_MAX_MSA_SEQS)."""

# A state dictionary as base64 of zstd of JSON.
Packed = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$")]
_Row = list[int]


class Alignment(Body):
    """A multiple sequence alignment as plain JSON (esm/utils/msa: MSA.state_dict)."""

    sequences: Annotated[list[str], Field(min_length=1, max_length=MAX_DEPTH)]
    deletions: Annotated[list[_Row], Field(max_length=MAX_DEPTH)] | None = None
    headers: Annotated[list[str], Field(max_length=MAX_DEPTH)] | None = None


Msa = Packed | Alignment | None

_DELETIONS: Final = re.compile(rb'"deletions"\s*:\s*(?=\[)')
_NUMBERS: Final = re.compile(rb"[\[\]0-9.,eE+\-\s]*")
_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
# Strings, arrays, objects, numbers of what is left without the deletions: each costs an object of up to 200 bytes.
_MOST_OF_EACH: Final = 16 * MAX_DEPTH


@dataclass(frozen=True, slots=True)
class ReadAlignments:
    """The sequences of all alignments together, and the SHA-256 of what the packed ones hold, in hex, by pointer."""

    depth: int
    digests: Mapping[str, str]

    def named(self, at: str, msa: Any) -> Any:
        """An alignment as it is in the canonical form: what a packed one holds, not how it was packed."""
        return {"packed_sha256": self.digests[at]} if at in self.digests else msa


def read_alignments(given: Mapping[str, str | Alignment | None], rules: ParseConfig) -> ReadAlignments:
    """The alignments by their pointers, checked; or a 422 problem."""
    try:
        packed = {at: msa for at, msa in given.items() if isinstance(msa, str)}
        contents = packed_json.unpack_all(packed, rules.max_unpacked_bytes, rules.at_once_bytes)
        unpacked = {at: _read(at, content) for at, content in contents.items()}
    except PackedError as error:
        raise Problem(CALL_INVALID, errors=[FieldError(error.at, f"packed: {error}")]) from None
    plain = {at: msa for at, msa in given.items() if isinstance(msa, Alignment)}
    depth = sum(len(alignment.sequences) for alignment in {**unpacked, **plain}.values())
    return ReadAlignments(depth, {at: sha256(content).hexdigest() for at, content in contents.items()})


def _read(at: str, text: bytes) -> Alignment:
    """The alignment, its deletions checked and left out."""
    rest = _without_deletions(at, text)
    if max(map(rest.count, (b'"', b"[", b"{", b","))) > _MOST_OF_EACH:
        raise PackedError(at, f"has more parts than an alignment of {MAX_DEPTH} sequences")
    try:
        tree = orjson.loads(rest)
    except orjson.JSONDecodeError:
        raise PackedError(at, "should be JSON") from None
    alignment = _validated(at, tree)
    _check_names(at, rest, tree)
    return alignment


def _without_deletions(at: str, text: bytes) -> bytes:
    """The text with null for the deletion counts, which are rows of numbers of one length."""
    # Within a string the quotation marks would be escaped, so this is the name of a member.
    name = _DELETIONS.search(text)
    if name is None:
        return text
    numbers = _NUMBERS.match(text, name.end())
    assert numbers is not None
    rows = numbers[0].rstrip(b", \t\r\n")
    widths = set(_widths(at, rows))
    if len(widths) > 1:
        raise PackedError(at, "/deletions should have rows of one length")
    return text[: name.end()] + b"null" + text[name.end() + len(rows) :]


def _widths(at: str, text: bytes) -> Iterator[int]:
    """Numbers in each row of `[[0, 1], [2, 3]]`."""
    if not text.endswith(b"]") or text.count(b"]") > MAX_DEPTH + 1:
        raise PackedError(at, f"/deletions should be an array of at most {MAX_DEPTH} arrays of numbers")
    *rows, last = text[1:-1].split(b"]")
    for i, row in enumerate((*rows, last) if last.strip() else rows):
        width = None if i == len(rows) else _width(row.strip(), first=i == 0)
        if width is None:
            raise PackedError(at, f"/deletions/{i} should be an array of numbers")
        yield width


def _width(row: bytes, *, first: bool) -> int | None:
    """Numbers in `, [0, 1` (without the comma, if it is the first row); None if it is something else."""
    if first == row.startswith(b","):
        return None
    try:
        return len(orjson.loads(row.removeprefix(b",") + b"]"))
    except orjson.JSONDecodeError:
        return None


def _validated(at: str, tree: Any) -> Alignment:
    try:
        return Alignment.model_validate(tree)
    except ValidationError as error:
        first = field_errors(error, tree)[0]
        raise PackedError(at, f"{first.pointer or 'it'}: {first.detail}") from None


def _check_names(at: str, text: bytes, tree: Mapping[str, Any]) -> None:
    """Of a repeated member two readers may take different ones: then there are more quotation marks than expected."""
    strings = len(tree) + len(tree["sequences"]) + len(tree.get("headers") or ())
    if _ESCAPE.sub(b"", text).count(b'"') != 2 * strings:
        raise PackedError(at, "a member name is repeated")
