"""Fills the masked positions of one track, as the published sampler would and without a model.

A request that the sampler answers identically every time has one answer here too, drawn from a digest of what
matters in it; any other request gets a fresh draw, so that a repeated answer must have come from a cache.
It does not unmask step by step: only what is visible from outside is imitated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.core import tracks
from gateway.core.tracks import FUNCTION, SEQUENCE, STRUCTURE, Track
from gateway.sandbox import crashes, draws
from gateway.sandbox.bodies import Generate, RefusedError
from gateway.sandbox.fingerprint import fingerprint

_RESIDUES: Final = range(tracks.SEQUENCE_OFFSET, tracks.SEQUENCE_OFFSET + len(tracks.AMINO_ACIDS))


@dataclass(frozen=True, slots=True)
class Sampled:
    """The generated track, and the forward passes that a model would have made over `positions`."""

    track: Track
    tokens: list[Any]
    steps: int
    positions: int

    @property
    def units(self) -> int:
        return self.steps * self.positions


def sample(request: Generate) -> Sampled:
    track = tracks.TRACKS.get(request.track)
    if track is None or not track.generated:
        raise RefusedError(500, "track: not supported for sampling")
    n = crashes.positions(request.inputs)
    annealing = request.temperature_annealing
    crashes.check_temperature(request.temperature, annealing=annealing, function=track == FUNCTION)
    only = request.condition_on_coordinates_only
    steps = tracks.effective_steps(track, request.inputs, num_steps=request.num_steps, coordinates_only=only)
    if steps == 0:
        raise RefusedError(500, f"Cannot sample {track.name}: no masks")
    candidates = sampleable(track, request.invalid_ids)
    discarded = track == STRUCTURE and tracks.discarded_by_coordinates(request.inputs, only)
    given = None if discarded else request.inputs.get(track.name)
    start = given if given is not None else all_masked(track, n)
    seed = fingerprint(request, track, start, steps) if repeats(request, track, steps) else draws.fresh_seed()
    return Sampled(track, fill(track, start, candidates, seed), steps, n)


def repeats(request: Generate, track: Track, steps: int) -> bool:
    """Whether the sampler answers this request identically every time.

    Function is never drawn, always the likeliest: only the order of unmasking can change it. The other tracks are
    drawn unless the temperature is 0 and annealing, which lifts it to 1e-6, is off.
    """
    ordered = request.strategy == "entropy" or steps == 1
    if track == FUNCTION:
        return ordered
    return ordered and request.temperature == 0 and not request.temperature_annealing


def sampleable(track: Track, invalid_ids: list[int]) -> Sequence[int]:
    """The ids that may be drawn: ordinary ones that are not banned; of the sequence, amino acids while any is left."""
    banned = set() if track == FUNCTION else set(invalid_ids)
    preferred = _RESIDUES if track == SEQUENCE else track.ordinary
    if not banned:
        return preferred
    left = [token for token in preferred if token not in banned]
    left = left or [token for token in track.ordinary if token not in banned]
    if not left:
        raise RefusedError(500, "invalid_ids: no id is left to sample")
    return left


def all_masked(track: Track, n: int) -> list[Any]:
    """What the sampler starts from when the track is absent."""
    if track.depth is not None:
        return [[track.mask] * track.depth for _ in range(n)]
    return [track.bos, *[track.mask] * (n - 2), track.eos]


def fill(track: Track, tokens: list[Any], candidates: Sequence[int], seed: bytes) -> list[Any]:
    """The tokens with every masked position drawn; unmasked positions and both ends are unchanged."""
    if track.depth is not None:
        return _fill_rows(track, tokens, candidates, seed, track.depth)
    drawn = draws.pick(seed, candidates, len(tokens))
    mask = track.mask
    body = [d if t == mask else t for t, d in zip(tokens[1:-1], drawn, strict=False)]
    return [tokens[0], *body, tokens[-1]]


def _fill_rows(
    track: Track, rows: list[list[int]], candidates: Sequence[int], seed: bytes, depth: int
) -> list[list[int]]:
    """Eight ids a position, or none at all: about one position in four has no function."""
    drawn = draws.pick(seed, candidates, len(rows) * depth)
    waiting = [track.mask] * depth
    filled = list(rows)
    for i in range(1, len(rows) - 1):
        if rows[i] == waiting:
            row = drawn[i * depth : (i + 1) * depth]
            filled[i] = [candidates[0]] * depth if row[0] % 4 == 0 else row
    return filled
