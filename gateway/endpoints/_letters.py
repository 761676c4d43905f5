"""Proteins written in letters, as generate, encode, fold, inverse_fold and fold_all_atom take them.

Of a sequence only shape and length are checked: letters that a model does not know it reads as unknown (esm: `_` is a
masked residue, `|` a chain break, `.` and `-` are tokens). What encoding is known to crash on is in
`gateway/core/sampler_checks.py`. A protein of L residues counts as L + 2 tokens, as many as it is encoded into.
"""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.core import coordinates, letters
from gateway.core.endpoint import Body, ParseConfig
from gateway.core.problems import CALL_INVALID, FieldError, Problem
from gateway.core.sampler_checks import Lettered, letter_faults

ENDS = 2  # BOS and EOS


def _only(accepted: str, sentence: str) -> Callable[[str], str]:
    def checked(text: str) -> str:
        fault = letters.fault(text, accepted, sentence)
        if fault is not None:
            raise PydanticCustomError("letters", "{fault}", {"fault": fault})
        return text

    return checked


def only(accepted: str, sentence: str) -> tuple[AfterValidator, WithJsonSchema]:
    """For a text of at least one of these characters (the inside of a pattern's brackets); `sentence` names them."""
    schema = WithJsonSchema({"type": "string", "pattern": f"^[{accepted}]+$"})
    return AfterValidator(_only(accepted, sentence)), schema


Letters = Annotated[str, *only(letters.PROTEIN, letters.PROTEIN_ACCEPTED)]
Name = Annotated[str, Field(min_length=1, max_length=1000)]
Place = Annotated[int, Field(ge=0, le=10**6)]
# A number in square ångström; a special token of the SASA vocabulary, as "<pad>"; null is masked (sasa_tokenizer.py).
Area = Annotated[float, Field(ge=0, allow_inf_nan=False)] | Annotated[str, Field(pattern=r"^<[a-z0-9.\-]{1,20}>$")]
# What is wrong in them is found by core/coordinates.py.
Atoms = Annotated[Any, Field(description="[residues][37][3] numbers (ångström) or null")]
# [label, start, end], 1-indexed, ends included (esm/utils/types.py, FunctionAnnotation.to_tuple).
Annotation = Annotated[tuple[Name, Place, Place], Field(strict=False)]


class Protein(Body):
    """The tracks of a protein in letters. ESM C models take the sequence alone."""

    sequence: Letters | None = None
    secondary_structure: Letters | None = None
    sasa: list[Area | None] | None = None
    function: list[Annotation] | None = None
    coordinates: Atoms = None


def read_protein(endpoint: str, asked: Protein, rules: ParseConfig) -> tuple[dict[str, Any], int]:
    """The given members, as they are forwarded, and the number of residues; or a 422 problem."""
    given = asked.model_dump(exclude={"coordinates"}, exclude_unset=True)
    if "coordinates" in asked.model_fields_set:
        array = asked.coordinates
        given["coordinates"] = None if array is None else read_coordinates(array, "/inputs/coordinates")
    lengths = {name: len(track) for name, track in given.items() if track is not None and name != "function"}
    if not lengths:
        raise Problem(CALL_INVALID, errors=[FieldError("/inputs", "at least one track must be given, beside function")])
    first, residues = next(iter(lengths.items()))
    unlike = [
        FieldError(f"/inputs/{name}", f"has {length} residues where {residues} are expected")
        for name, length in lengths.items()
        if length != residues
    ]
    if unlike:
        raise Problem(CALL_INVALID, errors=unlike)
    bounded(residues, f"/inputs/{first}", rules.max_tokens)
    faults = letter_faults(endpoint, Lettered(given, residues), rules.skipped_checks)
    if faults:
        raise Problem(CALL_INVALID, errors=faults)
    return given, residues


def read_coordinates(value: Any, at: str) -> NDArray[np.float64]:
    """[L][37][3] as it is forwarded; or a 422 problem."""
    array = coordinates.read(value, at, (37,))
    if isinstance(array, list):
        raise Problem(CALL_INVALID, errors=array)
    return coordinates.as_json(array)


def bounded(residues: int, at: str, max_tokens: int) -> None:
    """A 422 problem for an empty protein, or for one longer than the models take."""
    if not 1 <= residues <= max_tokens - ENDS:
        detail = f"has {residues} residues; 1 to {max_tokens - ENDS} are accepted"
        raise Problem(CALL_INVALID, errors=[FieldError(at, detail)])
