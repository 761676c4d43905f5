"""What can be wrong with an answer, one row each: the name (a label in metrics) and the words for a scientist.

`FAULTS` make an answer doubtful: it is passed on with a warning and never cached or recorded. `REPAIRS` are what was
taken out of an answer before it was passed on. An answer that is `unsafe` (it holds a text where the SDK unpickles) or
`broken` (no whole JSON object) is refused.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

UNSAFE: Final = "unsafe"
BROKEN: Final = "broken"
HOLLOW: Final = "hollow"

REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        UNSAFE: "it holds text where the SDK would run it as code",
        BROKEN: "it is not one whole JSON object",
    }
)
FAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        HOLLOW: "what was asked for is missing",
        "text": "there is text where numbers belong",
        "form": "it does not have the form of such an answer",
        "length": "it is not as long as the protein",
        "masked": "masked positions are left",
        "ids": "it has tokens or letters that do not exist",
        "changed": "positions that were not masked have changed",
        "echo": "the tracks that were sent did not come back as they were",
    }
)
REPAIRS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "strings": "texts in members that are not known here",
        "controls": "control characters in texts",
        "repeated": "members that were there more than once",
    }
)


def in_words(names: Iterable[str]) -> str:
    """What is wrong, as one clause."""
    return "; ".join({**REFUSED, **FAULTS}[name] for name in names if name not in REPAIRS)


def warning(faults: Iterable[str]) -> str:
    """The text that the SDK prints."""
    return f"esm-gateway: do not rely on this answer, which is not cached: {in_words(faults)}."
