"""Answers in letters: a protein's tracks, residue by residue, and the numbers that come with a structure."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.core import answer_parts
from gateway.core.answer_faults import HOLLOW
from gateway.core.answer_text import Members
from gateway.core.tracks import MASK_LETTER, SEQUENCE_LETTERS, SEQUENCE_OFFSET, SS8_LETTERS

CONFIDENCE: Final[Members] = dict.fromkeys(
    ("plddt", "ptm", "pae", "crmsd", "globularity", "interface_ptm", "pair_chains_iptm"), "numbers"
)
PROTEIN: Final[Members] = {
    **dict.fromkeys(("sequence", "secondary_structure", "sasa", "function"), "texts"),
    "coordinates": "numbers",
    **CONFIDENCE,
}
XYZ: Final = 3
LETTERS: Final = {"sequence": SEQUENCE_LETTERS, "secondary_structure": SS8_LETTERS + SEQUENCE_LETTERS[-1]}


def letter_faults(name: str, part: Any, residues: int) -> Iterator[str]:
    """Of a track of letters that must be there, every residue known."""
    if answer_parts.is_missing(part):
        yield HOLLOW
        return
    found = answer_parts.text(part)
    if found is None:
        yield "form"
    elif len(found) != residues:
        yield "length"
    elif MASK_LETTER in found:
        yield "masked"
    elif not set(found) <= set(LETTERS[name]):
        yield "ids"


def given_faults(part: Any, residues: int) -> Iterator[str]:
    """Of a sequence that was given and must be there again, in whatever letters."""
    found = answer_parts.text(part)
    if answer_parts.is_missing(part):
        yield HOLLOW
    elif found is None:
        yield "form"
    elif len(found) != residues:
        yield "length"


def keeps_letters(given: str | None, part: Any) -> bool:
    """Whether every letter that the models know is where it was; masks and other letters may have become anything."""
    found = answer_parts.text(part)
    if given is None or found is None or len(given) != len(found):
        return given is None
    return all(one == other or one not in SEQUENCE_LETTERS for one, other in zip(given, found, strict=True))


def item_faults(part: Any, residues: int) -> Iterator[str]:
    """Of a list with one item for each residue that must be there."""
    if answer_parts.is_missing(part):
        yield HOLLOW
        return
    found = answer_parts.items(part)
    if found is None:
        yield "form"
    elif len(found) != residues:
        yield "length"


def coordinate_faults(part: Any, residues: int, breaks: int = 0) -> Iterator[str]:
    """Of coordinates that must be there: [residues][atoms][3]. Between chains there may be a row or none."""
    if answer_parts.is_missing(part):
        yield HOLLOW
        return
    found, size = answer_parts.items(part), answer_parts.extent(part, nulls=True)
    if not found or size is None or size.width != XYZ or size.rows % len(found):
        yield "form"
    elif not residues - breaks <= len(found) <= residues:
        yield "length"
    elif not answer_parts.has_digits(part):
        yield HOLLOW


def optional_faults(part: Any, residues: int, breaks: int = 0) -> Iterator[str]:
    """Of a list that may be absent: as long as the protein where it is there."""
    if answer_parts.is_null(part):
        return
    found = answer_parts.items(part)
    if found is None:
        yield "form"
    elif not residues - breaks <= len(found) <= residues:
        yield "length"


def ids_of(letters: str) -> Sequence[int | None]:
    """The ids that letters are encoded into; None for a mask or a letter that is read as unknown."""
    return [
        SEQUENCE_OFFSET + SEQUENCE_LETTERS.index(letter) if letter in SEQUENCE_LETTERS else None for letter in letters
    ]
