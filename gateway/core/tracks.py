"""The input tracks of an ESM3 protein: the token ids of each, and which of them are masks or special.

Facts about the published vocabulary (esm 3.2.1 and 3.4.1: real tokenizers and embedding tables), used for checking a
request, for its price, by the cache's rules and by the sandbox.

What is refused, and with which message, is decided where a request is parsed. Coordinates are numbers, not tokens, so
they have a name in `INPUTS` and no row in `TRACKS`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

AMINO_ACIDS: Final = "LAGVSERTIDPKQNFYMHWC"
"""The twenty amino acids in the order of their ids, the first being `SEQUENCE_OFFSET`."""
SEQUENCE_LETTERS: Final = AMINO_ACIDS + "XBUZO.-|"
"""Every letter of a sequence: the twenty, six ambiguous or rare ones, gap, and the chain break (id 31)."""
SEQUENCE_OFFSET: Final = 4
SS8_LETTERS: Final = "GHITEBSC"
"""The eight states of secondary structure in the order of their ids, the first being 3."""
SASA_EDGES: Final = (
    *(0.8, 4.0, 9.6, 16.4, 24.5, 32.9, 42.0, 51.5),
    *(61.2, 70.9, 81.6, 93.3, 107.2, 125.4, 151.4),
)
"""Between the bins of a surface area, in square ångström (esm/utils/constants/esm3.py)."""
SASA_WORDS: Final = (
    *("<pad>", "<motif>", "<unk>", f"<0-{SASA_EDGES[0]}>"),
    *(f"<{low}-{high}>" for low, high in zip(SASA_EDGES, (*SASA_EDGES[1:], "inf"), strict=True)),
)
"""The ids of surface areas from 0 on, as words; the first is the mask (esm/tokenization/sasa_tokenizer.py, vocab)."""
MASK_LETTER: Final = "_"
"""A masked residue, in a sequence and in secondary structure."""
CHAIN_BREAK_LETTER: Final = "|"
ATOMS: Final = 37
"""Atoms a residue has on the coordinates track."""

INPUTS: Final = (
    "sequence",
    "structure",
    "secondary_structure",
    "sasa",
    "function",
    "coordinates",
    "residue_annotation",
)
"""Names under `inputs`, in the order in which the SDK writes them."""
GENERATED: Final = ("sequence", "structure", "secondary_structure", "sasa", "function")
"""Names that `track` may have. The sampler answers 500 for coordinates and residue annotations."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track of tokens.

    `depth` is the number of ids at a position (None: a plain list); unless `depth_is_exact`, there may be fewer.
    `ordinary` are the ids that the sampler may write. `lowest` to `highest` are those that do not crash the model.
    """

    name: str
    lowest: int
    highest: int
    ordinary: range
    mask: int
    pad: int
    bos: int
    eos: int
    chain_break: int | None = None
    unk: int | None = None
    motif: int | None = None
    none: int | None = None
    depth: int | None = None
    depth_is_exact: bool = True
    generated: bool = True


SEQUENCE: Final = Track("sequence", 0, 32, range(4, 31), mask=32, pad=1, bos=0, eos=2, chain_break=31, unk=3)
# -1 is accepted as conditioning and read as the mask (esm/models/esm3.py:359), yet not counted as a masked position
# when structure is generated (esm/utils/generation.py:229 compares with 4096).
STRUCTURE: Final = Track("structure", -1, 4100, range(4096), mask=4096, pad=4099, bos=4098, eos=4097, chain_break=4100)
SECONDARY_STRUCTURE: Final = Track(
    "secondary_structure", 0, 10, range(3, 11), mask=0, pad=0, bos=0, eos=0, unk=2, motif=1
)
SASA: Final = Track("sasa", 0, 18, range(3, 19), mask=0, pad=0, bos=0, eos=0, unk=2, motif=1)
# The id `none` means "no function here"; the sampler may choose it like any other.
FUNCTION: Final = Track("function", 0, 259, range(3, 260), mask=0, pad=0, bos=0, eos=0, unk=2, motif=1, none=3, depth=8)
RESIDUE_ANNOTATION: Final = Track(
    "residue_annotation",
    0,
    1477,
    range(3, 1478),
    mask=0,
    pad=0,
    bos=0,
    eos=0,
    unk=2,
    motif=1,
    none=3,
    depth=16,
    depth_is_exact=False,
    generated=False,
)

TRACKS: Final[Mapping[str, Track]] = MappingProxyType(
    {track.name: track for track in (SEQUENCE, STRUCTURE, SECONDARY_STRUCTURE, SASA, FUNCTION, RESIDUE_ANNOTATION)}
)

# Sequence ids that the sampler leaves out when it counts positions. The mask is not among them
# (esm/utils/generation.py:336).
NOT_DECODED: Final = (SEQUENCE.bos, SEQUENCE.pad, SEQUENCE.eos, SEQUENCE.unk, SEQUENCE.chain_break)


def masked_positions(track: Track, tokens: Sequence[Any]) -> int:
    """How many positions are masked, BOS and EOS aside. A row of ids is masked if all of them are masks."""
    mask: Any = track.mask if track.depth is None else [track.mask] * track.depth
    return tokens[1:-1].count(mask)


def discarded_by_coordinates(inputs: Mapping[str, Any], coordinates_only: bool) -> bool:
    """Whether the sampler discards the structure tokens in favour of coordinates, even all unknown ones."""
    return coordinates_only and inputs.get("coordinates") is not None


def length(inputs: Mapping[str, Any]) -> int:
    """Number of positions, BOS and EOS included, read from the first track that is given; 0 without any."""
    return next((len(inputs[name]) for name in INPUTS if inputs.get(name) is not None), 0)


def positions_to_sample(track: Track, inputs: Mapping[str, Any], *, coordinates_only: bool) -> int:
    """How many positions of `track` the sampler will fill: 0 means that it fails ("no masks")."""
    tokens = inputs.get(track.name)
    if track == STRUCTURE and discarded_by_coordinates(inputs, coordinates_only):
        tokens = None
    if tokens is not None:
        return masked_positions(track, tokens)
    sequence: Sequence[int] | None = inputs.get(SEQUENCE.name)
    if sequence is None:
        return max(0, length(inputs) - 2)
    return len(sequence) - sum(sequence.count(token) for token in NOT_DECODED)


def effective_steps(track: Track, inputs: Mapping[str, Any], *, num_steps: int, coordinates_only: bool) -> int:
    """Forward passes that the sampler makes: never more than there are positions to fill."""
    return min(num_steps, positions_to_sample(track, inputs, coordinates_only=coordinates_only))


_RESIDUE_LETTERS: Final = frozenset(SEQUENCE_LETTERS + MASK_LETTER) - {CHAIN_BREAK_LETTER}
INTERPRO: Final = re.compile(r"IPR\d+")
"""Found in a label of function, it gives every position function ids, that of "none" at least."""


def residues_to_sample(track: Track, inputs: Mapping[str, Any], residues: int, *, coordinates_only: bool) -> int | None:
    """As `positions_to_sample`, for a protein in letters; None where only the upstream can tell.

    The upstream encodes it first (esm/models/esm3.py, encode): coordinates become structure tokens without a mask, an
    InterPro label gives every position function ids; other labels may be annotations of residues, which give none.
    """
    given = inputs.get("coordinates" if track == STRUCTURE else track.name)
    if track == FUNCTION:
        given = given or None  # the SDK reads an empty list of annotations as none (esm/sdk/forge.py)
    if given is not None and not (track == STRUCTURE and coordinates_only):
        return _masked_residues(track, given)
    sequence: str | None = inputs.get(SEQUENCE.name)
    return residues if sequence is None else sum(map(sequence.count, _RESIDUE_LETTERS))


def _masked_residues(track: Track, given: Sequence[Any]) -> int | None:
    if track == STRUCTURE:
        return 0
    if track == FUNCTION:
        return 0 if any(INTERPRO.search(label) for label, _, _ in given) else None
    masks = (None, SASA_WORDS[SASA.mask]) if track == SASA else (MASK_LETTER,)
    return sum(map(given.count, masks))
