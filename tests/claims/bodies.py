"""Random bodies of generate_tensor, plain enough that their meaning is known by construction.

Every parameter is spelled out, every track is there or null, inner positions of the sequence are residues or masks. No
rule of the product is used here.
"""

from random import Random
from typing import Any

import numpy as np

from tests.claims.table import TRACKS, Json

ORDINARY = {
    "sequence": range(4, 31),
    "structure": range(4096),
    "secondary_structure": range(3, 11),
    "sasa": range(3, 19),
    "function": range(3, 260),
}
ENDS = {"sequence": (0, 2), "structure": (4098, 4097), "secondary_structure": (0, 0), "sasa": (0, 0)}
MASK: Json = {"sequence": 32, "structure": 4096, "secondary_structure": 0, "sasa": 0, "function": [0] * 8}
SPECIAL = (0, 1, 2, 3, 31)
"""Ids of the sequence that the sampler does not count."""


def body(chance: Random, track: str, n: int, *, deterministic: bool) -> Json:
    """A body whose generated track is given with two masks or more; with `deterministic`, one that never draws."""
    inputs: Json = {name: _track(chance, name, n) if chance.random() < 0.6 else None for name in TRACKS}
    inputs[track] = _track(chance, track, n)
    inputs["coordinates"] = coordinates(chance, n) if chance.random() < 0.3 else None
    inputs["residue_annotation"] = annotations(chance, n) if chance.random() < 0.4 else None
    made = {
        "model": "esm3-open-2024-03",
        "track": track,
        "potential_sequence_of_concern": False,
        "invalid_ids": sorted(chance.sample(ORDINARY[track], chance.choice([0, 0, 2]))),
        "schedule": chance.choice(["cosine", "linear"]),
        "strategy": "entropy" if deterministic else chance.choice(["entropy", "random"]),
        "num_steps": 1,
        "temperature": 0.0 if deterministic else chance.choice([0.0, 0.5]),
        "temperature_annealing": False if deterministic else chance.random() < 0.5,
        "top_p": chance.choice([1.0, 1.0, 0.9]),
        "condition_on_coordinates_only": chance.random() < 0.5,
        "inputs": inputs,
    }
    if track == "function":
        made["temperature"] = 0.5
    made["num_steps"] = chance.randint(1, waits(made))
    return made


def length(made: Json) -> int:
    """Positions of a body; 0 where no track is given, which nobody takes."""
    return max(len(track or ()) for track in made["inputs"].values())


def discards(made: Json) -> bool:
    """Whether coordinates take the place of the structure tokens."""
    return made["inputs"]["coordinates"] is not None and bool(made["condition_on_coordinates_only"])


def waits(made: Json) -> int:
    """How many positions the sampler counts as waiting for a token."""
    track, inputs = made["track"], made["inputs"]
    if inputs[track] is not None and not (track == "structure" and discards(made)):
        return sum(token == MASK[track] for token in inputs[track][1:-1])
    if inputs["sequence"] is None:
        return length(made) - 2
    return sum(token not in SPECIAL for token in inputs["sequence"])


def steps(made: Json) -> int:
    most: int = made["num_steps"]
    return min(most, waits(made))


def token(chance: Random, name: str) -> Any:
    """One ordinary token of a track; of a sequence, one of the twenty amino acids."""
    if name == "function":
        return [chance.choice(ORDINARY[name]) for _ in range(8)]
    return chance.choice(range(4, 24) if name == "sequence" else ORDINARY[name])


def _track(chance: Random, name: str, n: int) -> list[Any]:
    first, last = ENDS.get(name, ([0] * 8, [0] * 8))
    inner = [token(chance, name) if chance.random() < 0.6 else MASK[name] for _ in range(n - 2)]
    known, *masked = chance.sample(range(n - 2), 3)
    inner[known] = token(chance, name)
    for i in masked:
        inner[i] = MASK[name]
    return [first, *inner, last]


def number(chance: Random) -> float:
    """A float32 between -30 and 30, written in full."""
    return float(np.float32(chance.uniform(-30, 30)))


def atom(chance: Random) -> list[float]:
    return [number(chance) for _ in range(3)]


def nothing(width: int) -> list[Any]:
    return [[None] * 3 for _ in range(width)]


def coordinates(chance: Random, n: int) -> list[Any]:
    """[n][3, 14 or 37][3]: backbones, lone atoms and unknown residues; the ends unknown, two backbones at least."""
    width = chance.choice([3, 3, 14, 37])
    rows = [nothing(width) for _ in range(n)]
    sure = chance.sample(range(1, n - 1), 2)
    for i in range(1, n - 1):
        kind = chance.random()
        if i in sure or kind < 0.6:
            rows[i][:3] = [atom(chance) for _ in range(3)]
            rows[i][3:] = [atom(chance) if chance.random() < 0.3 else [None] * 3 for _ in range(width - 3)]
        elif kind < 0.8:
            rows[i][chance.randrange(width)] = atom(chance)
    return rows


def backbones(made: Json) -> list[int]:
    """Residues whose N, CA and C are all known."""
    rows = made["inputs"]["coordinates"] or []
    return [i for i, row in enumerate(rows) if all(number is not None for each in row[:3] for number in each)]


def loners(made: Json) -> list[int]:
    """Residues with some known atom but no backbone."""
    rows, whole = made["inputs"]["coordinates"] or [], backbones(made)
    return [i for i, row in enumerate(rows) if i not in whole and any(None not in each for each in row)]


def annotations(chance: Random, n: int) -> list[Any]:
    """Rows of up to three ids that differ, one row at least with two and one with three."""
    rows = [chance.sample(range(4, 1478), chance.choice([0, 0, 0, 1, 2, 3])) for _ in range(n)]
    two, three = chance.sample(range(1, n - 1), 2)
    rows[two], rows[three] = chance.sample(range(4, 1478), 2), chance.sample(range(4, 1478), 3)
    return rows
