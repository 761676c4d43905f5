"""The digest of a request, which the sandbox can add to its answer: a test can prove which request an answer is to.

It covers every member of a body by its meaning, not by its spelling: members in any order, `5` and `5.0`, null and
absent, coordinates as float32, padding of annotations, defaults of the API page written or left out.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from gateway.sandbox.bodies import Generate

_DEFAULTS = {
    **{name: field.default for name, field in Generate.model_fields.items() if not field.is_required()},
    "potential_sequence_of_concern": False,
}
# Beyond this a double has no exact integer.
_WHOLE = 2.0**53


def digest(body: Any) -> int:
    """60 bits of the SHA-256 of the meaning of a parsed body that an endpoint here has accepted.

    A number, because a gateway may leave out texts that it does not know.
    """
    meaning = _meaning(body)
    if isinstance(meaning, dict):
        meaning = {**_meaning(_DEFAULTS), **meaning} if "track" in meaning else meaning
        meaning["inputs"] = _inputs(meaning["inputs"]) if isinstance(meaning.get("inputs"), dict) else None
        if isinstance(meaning.get("invalid_ids"), list):
            meaning["invalid_ids"] = sorted(set(meaning["invalid_ids"]))
    return int(hashlib.sha256(orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)).hexdigest()[:15], 16)


def _meaning(value: Any) -> Any:
    """Without what is null, every whole number as an integer. Tracks are long and hold integers: they stay."""
    if isinstance(value, Mapping):
        return {name: _meaning(member) for name, member in value.items() if member is not None}
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    return value


def _inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    meant = dict(inputs)
    if "coordinates" in meant:
        atoms = np.array(meant["coordinates"], dtype=np.float64).astype(np.float32) + np.float32(0)
        meant["coordinates"] = [atoms.shape, hashlib.sha256(atoms.tobytes()).hexdigest()]
    if "residue_annotation" in meant:
        meant["residue_annotation"] = [[number for number in row if number] for row in meant["residue_annotation"]]
    return meant
