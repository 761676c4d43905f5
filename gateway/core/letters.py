"""The first character of a text that is not accepted there: its place, its name, and what to write instead.

A problem otherwise repeats nothing of a request. One character is the exception: without it, nobody finds the line
break in a pasted sequence. It is shown escaped, so that it can change nothing where it is printed.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

PROTEIN: Final = r"A-Za-z_|.\-"
"""Characters of a sequence, as they stand between the brackets of a pattern."""
PROTEIN_ACCEPTED: Final = "letters, `_` (masked), `|` (chain break), `.` and `-` are accepted"

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"\n": "a line break", "\r": "a line break", " ": "a space", "\t": "a tab"}
)
_SEPARATOR: Final = "write `|` between chains"
_FASTA: Final = "write the letters alone, without the header and the line breaks of a FASTA file"
_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ":": _SEPARATOR,
        "/": _SEPARATOR,
        ">": _FASTA,
        "\n": _FASTA,
        "\r": _FASTA,
        "*": "leave out the `*` of a stop",
        "<": "write `_` for a masked residue",
    }
)


def fault(text: str, accepted: str, sentence: str) -> str | None:
    """What is wrong with the first character outside `accepted` (the inside of a pattern's brackets); None: nothing.

    An empty text is wrong, too. `sentence` says what is accepted.
    """
    if not text:
        return f"has no letters; {sentence}"
    found = _other(accepted).search(text)
    if found is None:
        return None
    remedy = _REMEDIES.get(found[0])
    return f"letter {found.start() + 1} is {_shown(found[0])}; {sentence}" + (f"; {remedy}" if remedy else "")


def _shown(letter: str) -> str:
    name = _NAMES.get(letter)
    return ascii(letter) + (f" ({name})" if name else "")


@lru_cache(maxsize=16)
def _other(accepted: str) -> re.Pattern[str]:
    return re.compile(f"[^{accepted}]")
