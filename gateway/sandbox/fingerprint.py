"""Which requests the sampler cannot tell apart: equal fingerprints, equal answers.

Only measured rules are applied. Coordinates are compared as they are written (5 and 5.0 differ, and every atom
counts), because reading half a megabyte of them number by number would make the sandbox slower than what it stands
in for. The sequence-of-concern flag is absent: the published sampler does not look at it.
"""

from itertools import chain
from typing import Any

from gateway.core import tracks
from gateway.core.tracks import FUNCTION, RESIDUE_ANNOTATION, STRUCTURE, Track
from gateway.sandbox import draws
from gateway.sandbox.bodies import Generate


def fingerprint(request: Generate, track: Track, start: list[Any], steps: int) -> bytes:
    """The digest of everything that the answer depends on; `start` is the generated track before sampling."""
    facts: dict[str, Any] = {
        "model": request.model,
        "track": track.name,
        "start": start,
        "conditions": _conditions(request, track),
        "steps": steps,
        "top_p": float(request.top_p),
    }
    if steps > 1:
        # One step unmasks everything at once: neither the order nor the pace can matter.
        facts["order"] = [request.schedule, request.strategy, _positions(request, track)]
    if track == FUNCTION:
        # Arg max, so never drawn; the temperature moves the threshold for "no function".
        facts["temperature"] = [float(request.temperature), request.temperature_annealing]
    else:
        facts["invalid"] = sorted({token for token in request.invalid_ids if token in track.ordinary})
    return draws.seed_of(facts)


def _positions(request: Generate, track: Track) -> int:
    """Differs between an absent and an all-masked track when the sequence has a chain break, and so does the pace."""
    return tracks.positions_to_sample(track, request.inputs, coordinates_only=request.condition_on_coordinates_only)


def _conditions(request: Generate, generated: Track) -> dict[str, Any]:
    inputs = request.inputs
    discarded = tracks.discarded_by_coordinates(inputs, request.condition_on_coordinates_only)
    conditions = {"coordinates": inputs.get("coordinates")}
    for name, track in tracks.TRACKS.items():
        tokens = inputs.get(name)
        if tokens is None or track == generated or (track == STRUCTURE and discarded):
            continue
        conditions[name] = _condition(track, tokens)
    return {name: value for name, value in conditions.items() if value is not None}


def _condition(track: Track, tokens: list[Any]) -> list[Any] | None:
    """The tokens as the model sees them; None where it sees nothing but masks."""
    if track == RESIDUE_ANNOTATION:
        # Zeros are padding at any position.
        rows = [[token for token in row if token] for row in tokens]
        return rows if any(rows) else None
    if track == STRUCTURE:
        # BOS and EOS are overwritten; -1 is the mask.
        inner = [track.mask if token == -1 else token for token in tokens[1:-1]]
        return inner if inner.count(track.mask) < len(inner) else None
    if track.depth is not None:
        return tokens if any(chain.from_iterable(tokens)) else None
    ends_are_plain = tokens[0] == track.bos and tokens[-1] == track.eos
    is_blank = ends_are_plain and tracks.masked_positions(track, tokens) == len(tokens) - 2
    return None if is_blank else tokens
