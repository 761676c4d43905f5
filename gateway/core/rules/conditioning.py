"""Rules about input tracks: tokens and atoms that never reach the published model."""

from typing import Any

import numpy as np

from gateway.core.rules.rule import (
    NormalForm,
    Rule,
    counted_if_absent,
    discards_structure,
    empty,
    is_empty,
    with_track,
)
from gateway.core.tracks import GENERATED, SEQUENCE, STRUCTURE

OVERWRITTEN = frozenset((SEQUENCE.bos, SEQUENCE.pad, SEQUENCE.eos, SEQUENCE.chain_break))
"""Sequence ids at which the model overwrites the structure id (esm/models/esm3.py, forward)."""
MAX_COORDINATE = 1e6
"""Å: atoms at or beyond this make no backbone frame (esm/utils/structure/affine3d.py)."""


def discarded_structure(form: NormalForm) -> NormalForm:
    if form["inputs"]["structure"] is None or not discards_structure(form):
        return form
    return with_track(form, "structure", None)


def minus_one(form: NormalForm) -> NormalForm:
    given = form["inputs"]["structure"]
    if form["track"] == "structure" or given is None or -1 not in given:
        return form
    return with_track(form, "structure", [STRUCTURE.mask if token == -1 else token for token in given])


def overwritten_structure(form: NormalForm) -> NormalForm:
    given, sequence = form["inputs"]["structure"], form["inputs"]["sequence"]
    if form["track"] == "structure" or given is None:
        return form
    blank = empty("structure", len(given))
    sequence = empty("sequence", len(given)) if sequence is None else sequence
    made = [mine if over in OVERWRITTEN else token for token, mine, over in zip(given, blank, sequence, strict=True)]
    return form if made == given else with_track(form, "structure", made)


def backbone(form: NormalForm) -> NormalForm:
    array = form["inputs"]["coordinates"]
    if array is None:
        return form
    has_frame = (np.isfinite(array[:, :3]) & (array[:, :3] < MAX_COORDINATE)).all(axis=(1, 2))
    has_atom = np.isfinite(array).all(axis=2).any(axis=1)
    made = np.full((len(array), 3, 3), np.nan, dtype=np.float32)
    made[has_frame] = array[has_frame, :3]
    made[has_atom & ~has_frame, 1] = 0.0
    return form if np.array_equal(made, array, equal_nan=True) else with_track(form, "coordinates", made)


def unknown_coordinates(form: NormalForm) -> NormalForm:
    inputs = form["inputs"]
    array = inputs["coordinates"]
    if array is None or (form["condition_on_coordinates_only"] and inputs["structure"] is not None):
        return form
    return form if np.isfinite(array).all(axis=2).any() else with_track(form, "coordinates", None)


def annotation_pairs(form: NormalForm) -> NormalForm:
    rows = form["inputs"]["residue_annotation"]
    made = None if rows is None else [_paired(row) for row in rows]
    return form if made == rows else with_track(form, "residue_annotation", made)


def _paired(row: list[int]) -> list[int]:
    # A sum of two is the same in both orders; a sum of three is not, in floating point.
    return [row[1], row[0], *row[2:]] if row[0] > row[1] > 0 == row[2] else row


def empty_annotations(form: NormalForm) -> NormalForm:
    rows = form["inputs"]["residue_annotation"]
    return form if rows is None or any(map(any, rows)) else with_track(form, "residue_annotation", None)


def empty_conditioning(form: NormalForm) -> NormalForm:
    blank: dict[str, Any] = {name: None for name in GENERATED if name != form["track"] and is_empty(form, name)}
    return {**form, "inputs": {**form["inputs"], **blank}} if blank else form


def empty_generated(form: NormalForm) -> NormalForm:
    track, counted = form["track"], counted_if_absent(form)
    if not is_empty(form, track) or not (counted == form["length"] - 2 or (form["num_steps"] == 1 and counted > 0)):
        return form
    return with_track(form, track, None)


STRUCTURES = (
    Rule(
        "discarded_structure",
        "sampler",
        "Structure tokens do not matter if the model is conditioned on coordinates only.",
        "coordinates given (even all unknown) and `condition_on_coordinates_only`",
        "0/200 differ, logits bit-equal (3.2.1), 0/60 (3.4.1), tests/sampler; with the flag off 157/160 differ",
        "esm/utils/generation.py: iterative_sampling_tokens, tokens.structure = None",
        discarded_structure,
    ),
    Rule(
        "structure_minus_one",
        "sampler",
        "-1 on the structure track is its mask, 4096.",
        "structure is given and is not generated",
        "0/160 differ, logits bit-equal (3.2.1), 0/48 (3.4.1), tests/sampler",
        "esm/models/esm3.py: forward, masked_fill(structure_tokens == -1, ...)",
        minus_one,
        tuple(name for name in GENERATED if name != "structure"),
    ),
    Rule(
        "overwritten_structure",
        "sampler",
        "Structure ids do not matter where the sequence has BOS, EOS, pad or a chain break.",
        "structure is given and is not generated; an absent sequence has BOS and EOS at its ends",
        "0/160 differ, logits bit-equal (3.2.1), 0/48 (3.4.1), tests/sampler",
        "esm/models/esm3.py: forward, masked_fill(sequence_tokens == ...)",
        overwritten_structure,
        tuple(name for name in GENERATED if name != "structure"),
    ),
)
COORDINATES = (
    Rule(
        "backbone",
        "sampler",
        "Only N, CA and C of a residue's coordinates matter if all three are known, else only whether any atom is.",
        "known: three finite numbers below 1e6; so [n][37][3], [n][14][3] and [n][3][3] can be equal",
        "0/200 differ, logits bit-equal (3.2.1), 0/60 (3.4.1), tests/sampler; a lone CA is no empty residue: 172/200",
        "esm/models/esm3.py: forward, logits; esm/utils/structure/affine3d.py",
        backbone,
    ),
    Rule(
        "unknown_coordinates",
        "sampler",
        "Coordinates without a known atom count as absent.",
        "structure null, or `condition_on_coordinates_only` off; else they discard the structure (158/160 differ)",
        "0/200 differ, logits bit-equal (3.2.1), 0/60 (3.4.1), tests/sampler",
        "esm/utils/generation.py: _make_masked_inputs",
        unknown_coordinates,
    ),
)
ANNOTATIONS = (
    Rule(
        "annotation_pairs",
        "sampler",
        "The order of two residue annotations of one position does not matter.",
        "two ids in the row; sums of three or more depend on the order, by 7e-5",
        "0/200 differ, logits bit-equal (3.2.1), 0/60 (3.4.1), tests/sampler",
        "esm/models/esm3.py: EncodeInputs, residue_embed",
        annotation_pairs,
    ),
    Rule(
        "empty_annotations",
        "sampler",
        "Residue annotations that are all 0 count as absent.",
        "every id 0",
        "0/200 differ (3.2.1), 0/60 (3.4.1), tests/sampler; even the echo is the same",
        "esm/utils/generation.py: _make_masked_inputs",
        empty_annotations,
    ),
)
EMPTY_CONDITIONING = (
    Rule(
        "empty_conditioning",
        "sampler",
        "A conditioning track that is all mask counts as absent.",
        "every position the mask, with the BOS and EOS of the track at the ends",
        "0/200 differ, logits bit-equal (3.2.1), 0/60 (3.4.1), tests/sampler",
        "esm/utils/generation.py: _make_masked_inputs",
        empty_conditioning,
    ),
)
EMPTY_GENERATED = (
    Rule(
        "empty_generated",
        "sampler",
        "A generated track that is all mask counts as absent.",
        "one step, or no special id inside the sequence, which the sampler counts if the track is absent "
        "(141/160 differ with a chain break and two or more steps)",
        "0/200 differ (3.2.1), 0/60 (3.4.1), tests/sampler",
        "esm/utils/generation.py: _get_non_special_tokens",
        empty_generated,
    ),
)
