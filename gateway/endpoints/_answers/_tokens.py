"""Answers in tokens: a track as long as the protein, of ids that exist, without the masks that were to be filled."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.core import answer_parts
from gateway.core.answer_echo import as_meant, numbers, tokens
from gateway.core.answer_faults import HOLLOW
from gateway.core.answer_text import Members
from gateway.core.tracks import INPUTS, NOT_DECODED, STRUCTURE, Track, discarded_by_coordinates

TRACK_MEMBERS: Final[Members] = dict.fromkeys(INPUTS, "numbers")


def generated_faults(track: Track, asked: Mapping[str, Any], part: Any, n: int, *, check_echo: bool) -> Iterator[str]:
    """Of the track that was generated. `n` is the number of tokens."""
    found = read_track(track, part, n)
    if isinstance(found, str):
        yield found
        return
    inputs = asked["inputs"]
    given = inputs.get(track.name)
    if track == STRUCTURE and discarded_by_coordinates(inputs, asked["condition_on_coordinates_only"]):
        given = None
    filled, kept = _places(track, given, inputs.get("sequence"), n)
    drawn = [found[i] for i in filled]
    mask = mask_of(track)
    if mask in drawn:
        yield "masked"
    # Rows mix ordinary ids with padding, so of them only those that do not exist are odd.
    odd = set() if track.depth is not None else set(drawn).difference(track.ordinary, (mask,))
    if odd or not all_exist(track, found):
        yield "ids"
    if check_echo and any(found[i] != given[i] and not _mean_the_same(track, found[i], given[i]) for i in kept):
        yield "changed"


def read_track(track: Track, part: Any, n: int) -> Sequence[Any] | str:
    """The ids of a track of n tokens, or what is wrong with it."""
    if answer_parts.is_missing(part):
        return HOLLOW
    found = tokens(track, part)
    if found is None:
        return "form"
    if len(found) != n:
        return "length"
    if track.depth is not None and track.depth_is_exact and any(len(row) != track.depth for row in found):
        return "form"
    return found


def mask_of(track: Track) -> Any:
    """What a masked position holds."""
    return track.mask if track.depth is None else [track.mask] * track.depth


def all_exist(track: Track, found: Sequence[Any]) -> bool:
    """Whether the track has all these ids."""
    seen = numbers(track, found)
    return not seen or (track.lowest <= min(seen) and max(seen) <= track.highest)


def _mean_the_same(track: Track, one: Any, other: Any) -> bool:
    return bool(as_meant(track, one) == as_meant(track, other))


def _places(
    track: Track, given: Sequence[Any] | None, sequence: Sequence[int] | None, n: int
) -> tuple[Sequence[int], Sequence[int]]:
    """Which places the sampler must have filled, and which it must have left. Neither end is ever filled."""
    inner = range(1, n - 1)
    if given is None:
        # What it makes of the place of a chain break or of an unknown residue is not known.
        special = () if sequence is None else frozenset(NOT_DECODED)
        return [i for i in inner if sequence is None or sequence[i] not in special], ()
    mask = mask_of(track)
    filled = [i for i in inner if given[i] == mask]
    # A structure of -1 is read as the mask and yet not counted as one.
    kept = [i for i in range(n) if given[i] != mask and given[i] != -1]
    return filled, kept
