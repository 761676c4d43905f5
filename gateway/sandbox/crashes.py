"""What makes the real model fall over: ids beyond its tables, tracks of other lengths, nothing to sample.

The sandbox answers 500 in these cases. It checks nothing that the real service would let pass.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from gateway.core import tracks
from gateway.core.tracks import Track
from gateway.sandbox.bodies import Inputs, RefusedError

# Below this a temperature overflows when logits are divided by it in float32, unless it rounds to zero.
_TINIEST_TEMPERATURE = 1e-38
_ROUNDS_TO_ZERO = 1e-46
_HUGEST_TEMPERATURE = 1e38


def positions(inputs: Inputs) -> int:
    """The number of positions that all given tracks share, every id being one that the model has."""
    given = {name: inputs[name] for name in tracks.INPUTS if inputs.get(name) is not None}
    if not given:
        raise RefusedError(422, "inputs: at least one track must be given")
    if any(type(track) is not list for track in given.values()):
        raise RefusedError(422, "inputs: every track must be a list")
    lengths = {len(track) for track in given.values()}
    if len(lengths) != 1:
        raise RefusedError(500, "all tracks must have the same length")
    for name, values in given.items():
        if name == "coordinates":
            _check_atoms(values)
        else:
            _check_ids(tracks.TRACKS[name], values)
    n = lengths.pop()
    if n < 2:
        raise RefusedError(500, "a protein needs BOS and EOS")
    return n


def _check_ids(track: Track, values: list[Any]) -> None:
    ids: list[Any] | Iterable[Any] = values
    if track.depth is not None:
        ids = list(chain.from_iterable(_rows(track, values)))
    if set(map(type, ids)) - {int}:
        raise RefusedError(500, f"{track.name}: expected integers")
    if min(ids, default=0) < track.lowest or max(ids, default=0) > track.highest:
        raise RefusedError(500, f"{track.name}: index out of range")


def _rows(track: Track, values: list[Any]) -> list[list[Any]]:
    if set(map(type, values)) != {list}:
        raise RefusedError(500, f"{track.name}: expected a row of ids at every position")
    widths = set(map(len, values))
    # The embedding reads the first ids of a row and fails when there are too few (seen with seven and with nine).
    if len(widths) != 1 or (track.depth_is_exact and track.depth is not None and min(widths) < track.depth):
        raise RefusedError(500, f"{track.name}: wrong depth")
    return values


def _check_atoms(residues: list[Any]) -> None:
    if set(map(type, residues)) != {list} or len(set(map(len, residues))) != 1 or len(residues[0]) < 3:
        raise RefusedError(500, "coordinates: expected at least three atoms at every position")


def check_temperature(temperature: float, *, annealing: bool, function: bool) -> None:
    if temperature > _HUGEST_TEMPERATURE:
        raise RefusedError(500, "temperature overflows")
    if not annealing and _ROUNDS_TO_ZERO < temperature < _TINIEST_TEMPERATURE:
        raise RefusedError(500, "temperature underflows")
    if function and not annealing and temperature <= _ROUNDS_TO_ZERO:
        raise RefusedError(500, "function: division by zero at temperature 0 without annealing")
