"""What a rule is: something about a call that cannot affect the answer, with its condition and its evidence.

Rules bring a generate_tensor call to its *canonical form*: its parameters spelled out, `length` (positions, BOS and
EOS included) and `inputs` with the seven names, each a list or None, coordinates a float32 array [n][atoms][3] with
NaN for unknown. The form is not what goes upstream: it only decides which calls share an answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.core import tracks
from gateway.core.tracks import GENERATED, STRUCTURE, TRACKS

NormalForm = Mapping[str, Any]
Level = Literal["wire", "sampler"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `apply` returns its very argument if the rule changes nothing, and never modifies it.

    A wire rule has no `apply`: parsing follows it by construction, at `where`. An `optional` one is in force only if
    the settings name it. `tracks` are the generated tracks for which the rule holds.
    """

    name: str
    level: Level
    what: str
    condition: str
    evidence: str
    where: str
    apply: Callable[[NormalForm], NormalForm] | None = None
    tracks: Sequence[str] = GENERATED
    optional: bool = False


def changed(form: NormalForm, **members: Any) -> NormalForm:
    """The form with these parameters; the same object if it has them already."""
    return form if all(form[name] == value for name, value in members.items()) else {**form, **members}


def with_track(form: NormalForm, name: str, track: Any) -> NormalForm:
    """The form with another input track."""
    return {**form, "inputs": {**form["inputs"], name: track}}


def empty(name: str, n: int) -> list[Any]:
    """What the sampler uses for an absent track (esm/utils/generation.py, _make_masked_inputs)."""
    track = TRACKS[name]
    if track.depth is not None:
        return [[track.mask] * track.depth] * n
    return [track.bos, *[track.mask] * (n - 2), track.eos]


def is_empty(form: NormalForm, name: str) -> bool:
    """Whether a track is given and is all mask between BOS and EOS."""
    track = form["inputs"][name]
    return track is not None and bool(track == empty(name, form["length"]))


def discards_structure(form: NormalForm) -> bool:
    """Whether the sampler discards the structure tokens in favour of coordinates."""
    return tracks.discarded_by_coordinates(form["inputs"], form["condition_on_coordinates_only"])


def positions_to_fill(form: NormalForm) -> tuple[int, int]:
    """(positions of the generated track to fill, positions that the sampler counts).

    They differ where the track is absent: the sampler then counts the sequence's tokens that are not special
    (esm/utils/generation.py, _get_non_special_tokens), and fills every position between BOS and EOS.
    """
    track, inputs, between = TRACKS[form["track"]], form["inputs"], form["length"] - 2
    tokens = None if track is STRUCTURE and discards_structure(form) else inputs[track.name]
    if tokens is not None:
        masked = tracks.masked_positions(track, tokens)
        return masked, masked
    return between, counted_if_absent(form)


def counted_if_absent(form: NormalForm) -> int:
    """How many positions the sampler counts where the generated track is absent."""
    sequence = form["inputs"]["sequence"]
    if sequence is None or form["track"] == "sequence":
        return int(form["length"] - 2)
    return int(len(sequence) - sum(sequence.count(token) for token in tracks.NOT_DECODED))
