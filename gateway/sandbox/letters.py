"""Between a protein in letters and a protein in tokens, both ways, for encode, decode and generate.

Sequence, secondary structure and solvent accessibility follow the real tokenizers. Structure tokens and coordinates
are drawn from each other's digest, so they are stable and mean nothing. Function annotations are read from tokens but
not written to them: that takes tables which the sandbox does not have. Whether they leave masks is known, though.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from gateway.core import tracks
from gateway.core.tracks import FUNCTION, MASK_LETTER, SASA, SASA_EDGES, SECONDARY_STRUCTURE, SEQUENCE, STRUCTURE
from gateway.sandbox import draws
from gateway.sandbox.bodies import Inputs, RefusedError


def _letters(letters: str, first: int, mask: int) -> Mapping[str, int]:
    return MappingProxyType({**{letter: first + i for i, letter in enumerate(letters)}, MASK_LETTER: mask})


_ID_OF: Final = _letters(tracks.SEQUENCE_LETTERS, tracks.SEQUENCE_OFFSET, SEQUENCE.mask)
_SS8_ID_OF: Final = _letters(tracks.SS8_LETTERS, SECONDARY_STRUCTURE.ordinary.start, SECONDARY_STRUCTURE.mask)
_LETTER_OF: Final = MappingProxyType({token: letter for letter, token in _ID_OF.items()})
_SS8_LETTER_OF: Final = MappingProxyType({token: letter for letter, token in _SS8_ID_OF.items()})


_LENGTHS: Final = ("sequence", "secondary_structure", "sasa", "coordinates")


def encode(inputs: Inputs) -> Inputs:
    """All seven tracks as tokens, BOS and EOS around each that is given."""
    _check_lengths(inputs)
    coordinates = inputs.get("coordinates")
    return {
        "sequence": _maybe(encode_sequence, inputs.get("sequence")),
        "structure": _maybe(_structure_tokens, coordinates),
        "secondary_structure": _maybe(_encode_ss8, inputs.get("secondary_structure")),
        "sasa": _maybe(_encode_sasa, inputs.get("sasa")),
        "function": None,
        "residue_annotation": None,
        "coordinates": None if coordinates is None else [_unknown(), *coordinates, _unknown()],
    }


def _check_lengths(inputs: Inputs) -> None:
    """Function is a list of annotations, so its length says nothing."""
    given = [inputs.get(name) for name in _LENGTHS]
    lengths = {len(value) for value in given if isinstance(value, str | list)}
    if len(lengths) != 1 or 0 in lengths:
        raise RefusedError(422, "inputs: give at least one track, and all of one length")


def _maybe(convert: Any, value: Any) -> Any:
    return None if value is None else convert(value)


def encode_sequence(letters: str) -> list[int]:
    unknown = SEQUENCE.unk
    return [SEQUENCE.bos, *(_ID_OF.get(letter, unknown) for letter in letters), SEQUENCE.eos]  # type: ignore[list-item]


def _encode_ss8(letters: str) -> list[int]:
    if not set(letters) <= set(_SS8_ID_OF):
        raise RefusedError(500, "secondary_structure: not one of the eight states")
    return [SECONDARY_STRUCTURE.bos, *(_SS8_ID_OF[letter] for letter in letters), SECONDARY_STRUCTURE.eos]


def _encode_sasa(areas: Sequence[float | str | None]) -> list[int]:
    return [SASA.bos, *map(_sasa_id, areas), SASA.eos]


def _sasa_id(area: float | str | None) -> int:
    """The bin of an area; special tokens may be written out (sasa_tokenizer.py, encode), null is the mask."""
    if area is None:
        return SASA.mask
    if isinstance(area, str):
        if area not in tracks.SASA_WORDS:
            raise RefusedError(500, "sasa: not a token")
        return tracks.SASA_WORDS.index(area)
    return SASA.ordinary.start + bisect_left(SASA_EDGES, area)


def function_rows(inputs: Inputs) -> list[list[int]] | None:
    """Labels of InterPro leave no position masked; others are taken for annotations of residues, which leave all."""
    annotations = inputs.get("function")
    if not annotations:
        return None
    residues = next(len(inputs[name]) for name in _LENGTHS if inputs.get(name) is not None)
    named = any(tracks.INTERPRO.search(label) for label, _, _ in annotations)
    row = [(FUNCTION.none or 0) if named else FUNCTION.mask] * (FUNCTION.depth or 0)
    ends = [FUNCTION.bos] * (FUNCTION.depth or 0)
    return [ends, *[row] * residues, ends]


def _structure_tokens(coordinates: list[Any]) -> list[int]:
    drawn = draws.pick(draws.seed_of("structure", coordinates), STRUCTURE.ordinary, len(coordinates))
    return [STRUCTURE.bos, *drawn, STRUCTURE.eos]


def _unknown() -> list[list[None]]:
    return [[None] * 3 for _ in range(tracks.ATOMS)]


def decode(inputs: Inputs) -> dict[str, Any]:
    """The protein behind the tokens: every key that the SDK reads after decode, null where nothing is known."""
    return {
        "sequence": _maybe(decode_sequence, inputs.get("sequence")),
        "secondary_structure": _maybe(_decode_ss8, inputs.get("secondary_structure")),
        "sasa": _maybe(_decode_sasa, inputs.get("sasa")),
        "function": _maybe(_annotations, inputs.get("function")),
        **_atoms(inputs.get("structure"), inputs.get("coordinates")),
    }


def decode_sequence(tokens: list[int]) -> str:
    return "".join(_LETTER_OF.get(token, "X") for token in tokens[1:-1])


def _decode_ss8(tokens: list[int]) -> str | None:
    letters = "".join(_SS8_LETTER_OF.get(token, MASK_LETTER) for token in tokens[1:-1])
    return letters if letters.strip(MASK_LETTER) else None


def _decode_sasa(tokens: list[int]) -> list[float | None] | None:
    """The middle of each bin, as the real tokenizer answers; the last bin ends at twice its lower edge."""
    edges = (0.0, *SASA_EDGES, 2 * SASA_EDGES[-1])
    first = SASA.ordinary.start
    areas = [
        round((edges[token - first] + edges[token - first + 1]) / 2, 4) if token >= first else None
        for token in tokens[1:-1]
    ]
    return areas if any(area is not None for area in areas) else None


def _annotations(rows: list[list[int]]) -> list[list[str | int]]:
    """One annotation [label, first, last], counted from 1, for each run of positions that have a function."""
    runs: list[list[str | int]] = []
    running = False
    for position, row in enumerate(rows[1:-1], start=1):
        has_function = max(row) > (FUNCTION.none or 0)
        if has_function and running:
            runs[-1][2] = position
        elif has_function:
            runs.append([f"IPR{max(row):06d}", position, position])
        running = has_function
    return runs


def _atoms(structure: list[int] | None, coordinates: list[Any] | None) -> dict[str, Any]:
    """Structure tokens without masks become atoms; otherwise the given coordinates stay, of unknown confidence."""
    if structure is not None and tracks.masked_positions(STRUCTURE, structure) == 0:
        seed = draws.seed_of("atoms", structure[1:-1])
        residues = len(structure) - 2
        return {"coordinates": draws.coordinates(seed, residues), **draws.confidence(seed, residues)}
    return {"coordinates": coordinates and coordinates[1:-1], "plddt": None, "ptm": None}
