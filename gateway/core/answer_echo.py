"""Whether the tracks that were sent came back, compared by their meaning and not by their spelling.

Measured on the published sampler: an answer gives back every track that was not generated; absent annotations come back
as zeros; coordinates come back in other digits; structure is discarded where coordinates take its place. Zeros of
annotations are padding wherever they stand, and -1 is read as the mask of structure.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.core import answer_parts
from gateway.core.tracks import INPUTS, RESIDUE_ANNOTATION, STRUCTURE, TRACKS, Track, discarded_by_coordinates, length

_ZEROS: Final = re.compile(rb"[\[\]0, \t\r\n]*")
TOLERANCE: Final = 0.01
"""Ångström by which a coordinate may differ, beside a thousandth of itself: files write three decimals."""


def is_echoed(inputs: Mapping[str, Any], outputs: Mapping[str, Any], generated: str, coordinates_only: bool) -> bool:
    """Whether every track but the generated one is what was sent."""
    for name in INPUTS:
        discarded = name == STRUCTURE.name and discarded_by_coordinates(inputs, coordinates_only)
        if name == generated or discarded:
            continue
        given, part = inputs.get(name), outputs.get(name)
        if not (says_nothing(name, part, length(inputs)) if given is None else _is_same(name, given, part)):
            return False
    return True


def says_nothing(name: str, part: Any, n: int) -> bool:
    """Whether a track of n tokens is absent, or written out with nothing in it: masks, padding, unknown coordinates."""
    if answer_parts.is_null(part):
        return True
    if name == "coordinates":
        atoms = _atoms(part)
        return atoms is not None and len(atoms) == n and bool(np.isnan(atoms).all())
    track = TRACKS[name]
    if track.mask == 0 and track.depth is not None and isinstance(part, bytes) and _ZEROS.fullmatch(part):
        return part.count(b"[") == n + 1  # as almost always: annotations
    found = tokens(track, part)
    empty = {track.mask, track.pad, track.bos, track.eos}
    return found is not None and len(found) == n and numbers(track, found) <= empty


def tokens(track: Track, part: Any) -> Sequence[Any] | None:
    """The ids of a track, or its rows of ids."""
    return answer_parts.ids(part) if track.depth is None else answer_parts.rows(part)


def numbers(track: Track, found: Sequence[Any]) -> set[int]:
    """The ids that are in a track, each once."""
    return set(found) if track.depth is None else set().union(*found)


def as_meant(track: Track, token: Any) -> Any:
    """A token in the one spelling that all with its meaning share."""
    if track is RESIDUE_ANNOTATION:
        return sorted(number for number in token if number)
    return track.mask if track is STRUCTURE and token == -1 else token


def _is_same(name: str, given: Any, part: Any) -> bool:
    if answer_parts.is_text(part) and part == orjson.dumps(given):
        return True
    if name == "coordinates":
        return _are_near(_atoms(orjson.dumps(given)), _atoms(part))
    track, found = TRACKS[name], tokens(TRACKS[name], part)
    if found is None or len(found) != len(given):
        return False
    return all(
        one == other or as_meant(track, one) == as_meant(track, other) for one, other in zip(given, found, strict=True)
    )


def _atoms(part: Any) -> NDArray[np.float64] | None:
    """[n][atoms][3], unknown ones NaN."""
    if not answer_parts.is_text(part):
        return None
    try:
        atoms = np.array(orjson.loads(part), dtype=np.float64)
    except (ValueError, TypeError):
        return None
    return np.where(np.isfinite(atoms), atoms, np.nan) if atoms.ndim == 3 and atoms.shape[2] == 3 else None


def _are_near(one: NDArray[np.float64] | None, other: NDArray[np.float64] | None) -> bool:
    """The same residues, the same atoms as far as both have them."""
    if one is None or other is None or len(one) != len(other):
        return False
    atoms = min(one.shape[1], other.shape[1])
    return np.allclose(one[:, :atoms], other[:, :atoms], rtol=1e-3, atol=TOLERANCE, equal_nan=True)
