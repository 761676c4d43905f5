"""Coordinates as the model reads them: float32, unknown is NaN, -0.0 is 0.0.

A 560 kB body has 28,000 numbers, so they are flattened, type-checked and converted by C code. What numpy would accept
but is wrong here (text, booleans, ragged rows) is found by type and length.
"""

from itertools import chain
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.core.problems import FieldError
from gateway.core.strict_json import MAX_ERRORS, pointer

ATOM_COUNTS = (3, 14, 37)
_NUMBERS = {int, float, type(None)}


def read(value: Any, at: str, atom_counts: tuple[int, ...] = ATOM_COUNTS) -> NDArray[np.float32] | list[FieldError]:
    """[n][atoms][3] of numbers (ångström) or null, as a float32 array of that shape; or the errors."""
    try:
        array = _array(value, atom_counts)
    except (TypeError, ValueError, OverflowError):
        array = None
    if array is not None:
        return array
    return _errors(value, at, atom_counts) or [FieldError(at, "rows must all have the same number of atoms")]


def _array(value: Any, atom_counts: tuple[int, ...]) -> NDArray[np.float32] | None:
    if set(map(type, value)) != {list}:
        return None
    widths, atoms = set(map(len, value)), list(chain.from_iterable(value))
    numbers = list(chain.from_iterable(atoms))
    types = set(map(type, numbers))
    if len(widths) != 1 or not widths <= set(atom_counts) or set(map(len, atoms)) != {3} or not types <= _NUMBERS:
        return None
    if type(None) in types:
        numbers = [nan if number is None else number for number in numbers]
    with np.errstate(over="ignore"):
        array: NDArray[np.float32] = np.array(numbers, dtype=np.float64).astype(np.float32) + np.float32(0)
    return None if np.isinf(array).any() else array.reshape(len(value), -1, 3)


def as_json(array: NDArray[np.float32]) -> NDArray[np.float64]:
    """The numbers as the SDK writes them: each float32 with its float64 digits, NaN as null."""
    return array.astype(np.float64)


def _errors(value: Any, at: str, atom_counts: tuple[int, ...]) -> list[FieldError]:
    if not isinstance(value, list) or not value:
        return [FieldError(at, "should be an array of residues")]
    errors: list[FieldError] = []
    for i, residue in enumerate(value):
        errors += _residue_errors(residue, f"{at}/{i}", atom_counts)
        if len(errors) >= MAX_ERRORS:
            break
    return errors[:MAX_ERRORS]


def _residue_errors(residue: Any, at: str, atom_counts: tuple[int, ...]) -> list[FieldError]:
    if not isinstance(residue, list) or len(residue) not in atom_counts:
        return [FieldError(at, f"should be an array of {', '.join(map(str, atom_counts))} atoms")]
    errors: list[FieldError] = []
    for i, atom in enumerate(residue):
        if not isinstance(atom, list) or len(atom) != 3:
            errors.append(FieldError(at + pointer([i]), "should be three numbers or nulls"))
        else:
            invalid = (j for j, number in enumerate(atom) if not _is_valid(number))
            errors += [FieldError(at + pointer([i, j]), _NUMBER_EXPECTED) for j in invalid]
    return errors


_NUMBER_EXPECTED = "should be a number within float32, or null"


def _is_valid(number: Any) -> bool:
    return number is None or (type(number) in _NUMBERS and abs(number) < 3.4e38)
