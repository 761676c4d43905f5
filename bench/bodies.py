"""The two bodies that are sent: one of 256 residues as tokens (2 kB), one with all their atoms' coordinates (560 kB).

Both ask for what is kept (temperature 0, entropy, no annealing). Every body can carry a serial number: six tokens of
two digits at a fixed place, so that a distinct and valid request costs the load generator one slice assignment.
"""

import random
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

RESIDUES: Final = 256
PATH: Final = "/api/v1/generate_tensor"
# The ids 10 to 23 are amino acids of two digits each.
_DIGITS: Final = range(10, 24)
_PAIRS: Final = tuple(b"%d,%d" % (one, two) for one in _DIGITS for two in _DIGITS)
_SERIAL_TOKENS: Final = 6
SERIALS: Final = len(_PAIRS) ** (_SERIAL_TOKENS // 2)
SERIAL_BYTES: Final = 3 * _SERIAL_TOKENS - 1


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON text, and where in it a serial number (see `serial`) may be written."""

    name: str
    text: bytes
    serial_at: int


def serial(number: int) -> bytes:
    """Six tokens as they stand in the text; different for each number below SERIALS."""
    rest, low = divmod(number % SERIALS, len(_PAIRS))
    high, middle = divmod(rest, len(_PAIRS))
    return b"%b,%b,%b" % (_PAIRS[high], _PAIRS[middle], _PAIRS[low])


def small() -> Body:
    """Half of the sequence masked, the structure given as tokens."""
    chance = random.Random(1)
    structure = [4098, *(chance.randrange(4096) for _ in range(RESIDUES)), 4097]
    return _body("small", {"structure": structure})


def big() -> Body:
    """Half of the sequence masked, every atom given as the SDK writes it: float32 in the digits of a float64."""
    atoms = np.random.default_rng(1).uniform(-50, 50, (RESIDUES, 37, 3)).astype(np.float32).astype(np.float64)
    unknown = [[[None, None, None]] * 37]
    return _body("big", {"coordinates": [*unknown, *atoms.tolist(), *unknown]})


BODIES: Final = {"small": small, "big": big}


def _body(name: str, given: dict[str, Any]) -> Body:
    # The serial's tokens first, then masks and amino acids in turn.
    numbered = [_DIGITS[0]] * _SERIAL_TOKENS
    sequence = [0, *numbered, *(32 if i % 2 else 4 + i % 20 for i in range(RESIDUES - _SERIAL_TOKENS)), 2]
    names = ("structure", "secondary_structure", "sasa", "function", "coordinates", "residue_annotation")
    text = orjson.dumps(
        {
            "model": "esm3-open-2024-03",
            "inputs": {"sequence": sequence, **dict.fromkeys(names), **given},
            "track": "sequence",
            "invalid_ids": [],
            "schedule": "cosine",
            "num_steps": 20,
            "temperature": 0.0,
            "top_p": 1.0,
            "condition_on_coordinates_only": True,
            "strategy": "entropy",
            "temperature_annealing": False,
            "potential_sequence_of_concern": False,
        }
    )
    mark = b'"sequence":[0,'
    return Body(name, text, text.index(mark) + len(mark))
