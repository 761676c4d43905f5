"""Hypothesis strategies: a valid call of generate_tensor as a meaning, and JSON texts that all say that meaning."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gateway.core.tracks import GENERATED, INPUTS, TRACKS
from tests.endpoints.examples import ESM3, ESMC, FLAG, Json

DEFAULTS: Json = {
    FLAG: False,
    "invalid_ids": [],
    "schedule": "cosine",
    "strategy": "random",
    "temperature": 0.5,
    "temperature_annealing": True,
    "top_p": 1.0,
    "condition_on_coordinates_only": True,
}
LIMITS = {"sequence": (0, 32), "structure": (-1, 4100), "secondary_structure": (0, 10), "sasa": (0, 18)}


@dataclass(frozen=True)
class Meaning:
    """What is asked: the parameters in full, and the tracks that are given."""

    parameters: Json
    inputs: Json

    def with_parameter(self, name: str, value: Any) -> "Meaning":
        return replace(self, parameters={**self.parameters, name: value})

    def with_track(self, name: str, track: Any) -> "Meaning":
        return replace(self, inputs={**self.inputs, name: track})


def _track(name: str, n: int, chance: Random) -> Any:
    if name in LIMITS:
        return [chance.randint(*LIMITS[name]) for _ in range(n)]
    if name == "function":
        return [[chance.randint(0, 259) for _ in range(8)] for _ in range(n)]
    if name == "residue_annotation":
        return [[chance.randint(1, 1477) for _ in range(chance.randint(0, 4))] for _ in range(n)]
    return [[[_number(chance) for _ in range(3)] for _ in range(3)] for _ in range(n)]


def _number(chance: Random) -> float | None:
    exponent = chance.choice([None, 0, 0, 0, 0, -40, -20, 30])
    return None if exponent is None else float(np.float32(chance.choice([0, 1, -1]) * chance.random() * 10.0**exponent))


PARAMETERS = st.fixed_dictionaries(
    {
        "model": st.sampled_from([ESM3, ESMC]),
        "track": st.sampled_from(GENERATED),
        FLAG: st.booleans(),
        "invalid_ids": st.sampled_from([[], [4], [-3, 5, 64], [7, 8, 25, 40]]),
        "schedule": st.sampled_from(["cosine", "linear"]),
        "strategy": st.sampled_from(["random", "entropy"]),
        "num_steps": st.integers(1, 5),
        "temperature": st.sampled_from([0.0, 0.5, 1.0]),
        "temperature_annealing": st.booleans(),
        "top_p": st.sampled_from([1.0, 0.9]),
        "condition_on_coordinates_only": st.booleans(),
    }
)
OTHERS = st.lists(st.sampled_from(INPUTS), max_size=3)
SEEDS = st.integers(0, 2**32)


def meanings(*always: str) -> st.SearchStrategy[Meaning]:
    """Valid calls of 5 to 8 positions, in which the generated track and those named here are given."""
    return st.builds(_meaning, PARAMETERS, OTHERS.map(lambda names: {*names, *always}), SEEDS)


def _meaning(parameters: Json, names: set[str], seed: int) -> Meaning:
    chance, track = Random(seed), parameters["track"]
    n = chance.randint(5, 8)
    inputs = {name: _track(name, n, chance) for name in INPUTS if name in names or name == track}
    # What keeps the call valid: two masks on the generated track, a residue in the sequence, no 0 / 0.
    inputs[track][1:3] = [TRACKS[track].mask if track != "function" else [0] * 8] * 2
    if "sequence" in inputs and track != "sequence":
        inputs["sequence"][3] = 5
    return Meaning({**parameters, "temperature": parameters["temperature"] or 0.5 * (track == "function")}, inputs)


def said(meaning: Meaning, seed: int) -> str:
    """One of the many JSON texts with this meaning."""
    chance = Random(seed)
    members = {name: _value(value, chance) for name, value in meaning.parameters.items()}
    for name, default in DEFAULTS.items():
        if meaning.parameters[name] == default and chance.random() < 0.5:
            members[name] = chance.choice(["null", ""])
    ids: list[int] = meaning.parameters["invalid_ids"]
    if ids:
        again = [*ids, *chance.choices(ids, k=2)]
        chance.shuffle(again)
        members["invalid_ids"] = _value(again, chance)
    tracks = {name: _said_track(name, track, chance) for name, track in meaning.inputs.items()}
    return _object({**members, "inputs": _object(tracks, chance)}, chance)


def _object(members: dict[str, str], chance: Random) -> str:
    names = [name for name, text in members.items() if text]
    chance.shuffle(names)
    gap = chance.choice(["", " ", "\n\t"])
    return "{" + ",".join(f"{gap}{_name(name, chance)}{gap}:{members[name]}" for name in names) + "}"


def _name(name: str, chance: Random) -> str:
    return f'"\\u{ord(name[0]):04x}{name[1:]}"' if chance.random() < 0.01 else f'"{name}"'


def _said_track(name: str, track: Any, chance: Random) -> str:
    if track is None:
        return chance.choice(["null", ""])
    if name == "coordinates":
        return _array(track, lambda residue: _array(residue, lambda atom: _array(atom, partial(_cell, chance=chance))))
    if name == "residue_annotation":
        return json.dumps([_with_zeros(row, chance) for row in track])
    return _value(track, chance)


def _array(items: list[Any], say: Callable[[Any], str]) -> str:
    return "[" + ",".join(map(say, items)) + "]"


def _with_zeros(row: list[int], chance: Random) -> list[int]:
    row = list(row)
    for _ in range(chance.randint(0, 16 - len(row))):
        row.insert(chance.randint(0, len(row)), 0)
    return row


def _cell(value: float | None, chance: Random) -> str:
    """The float32 in all the digits of a float64, in its own few digits, or off by less than it can tell apart."""
    if value is None:
        return "null"
    if value == 0:
        return chance.choice(["0", "-0", "0.0", "-0.0", "1e-60", "-1e-60", "0e5"])
    near = repr(float(np.nextafter(np.float64(value), np.inf)))
    return chance.choice([repr(value), str(np.float32(value)), near, f"{value:.20e}"])


def _value(value: Any, chance: Random) -> str:
    if isinstance(value, list):
        return _array(value, partial(_value, chance=chance))
    if isinstance(value, (bool, str)) or chance.random() < 0.9:
        return json.dumps(value)
    if value == 0:
        return chance.choice(["0", "-0", "0.0", "-0.0", "0e9"])
    if not float(value).is_integer():
        return chance.choice([repr(value), f"{value:.17e}"])
    whole = int(value)
    return chance.choice([f"{whole}", f"{whole}.0", f"{whole}e0", f"{whole}0e-1", f"{whole}.00"])
