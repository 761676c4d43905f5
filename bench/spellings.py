"""The same call as different people write it: nothing that an upstream could tell apart.

Each person has a tool with habits: the order of members, spaces, what is left out, how numbers look. Every habit keeps
the meaning; that is true by how each is made, and nothing of the product is asked.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

Habit = Literal["plain", "other", "chance"]
# The defaults of the API page of generate_tensor (2025-02-14).
DEFAULTS: Final[Mapping[str, Any]] = {
    "potential_sequence_of_concern": False,
    "invalid_ids": [],
    "schedule": "cosine",
    "strategy": "random",
    "num_steps": 20,
    "temperature": 0.5,
    "temperature_annealing": True,
    "top_p": 1,
    "condition_on_coordinates_only": True,
}


@dataclass(frozen=True, slots=True)
class Person:
    """Habits of one tool. `plain`: as the SDK writes; `other`: always another way; `chance`: now so, now so."""

    name: str
    order: Habit = "plain"
    absent: Habit = "plain"
    numbers: Habit = "plain"
    spaces: tuple[str, str] = (",", ":")
    lists: Habit = "plain"


PEOPLE: Final = (
    Person("sdk"),
    Person("script", absent="other", spaces=(", ", ": ")),
    Person("notebook", order="other", spaces=(",\n ", " : ")),
    Person("frames", absent="other", numbers="other", spaces=(", ", ": ")),
    Person("by hand", order="chance", absent="chance", numbers="chance", spaces=(" ,\t", ":\n"), lists="chance"),
    Person("web page", order="chance", absent="chance", lists="other"),
)


def spelled(body: Mapping[str, Any], person: Person, chance: random.Random) -> bytes:
    """This body, of which every member is given, in the words of this person."""
    members = {**body, "inputs": _kept(body["inputs"], {}, person, chance)}
    members["invalid_ids"] = _set(body["invalid_ids"], person, chance)
    annotations = members["inputs"].get("residue_annotation")
    if annotations is not None and _other(person.lists, chance):
        members["inputs"]["residue_annotation"] = [_row(row, chance) for row in annotations]
    return _Writer(person, chance).written(_kept(members, DEFAULTS, person, chance)).encode()


def _other(habit: Habit, chance: random.Random) -> bool:
    return habit == "other" or (habit == "chance" and chance.random() < 0.5)


def _kept(members: Mapping[str, Any], defaults: Mapping[str, Any], person: Person, chance: random.Random) -> Any:
    """In this person's order, without what need not be said: null, or a default, which may be said as null, too."""
    names = list(members)
    if person.order == "chance":
        chance.shuffle(names)
    elif person.order == "other":
        names.sort(reverse=True)
    kept: dict[str, Any] = {}
    for name in names:
        value = members[name]
        needless = value is None or (name in defaults and value == defaults[name])
        if not needless or not _other(person.absent, chance):
            kept[name] = value
        elif person.absent == "chance" and chance.random() < 0.5:
            kept[name] = None
    return kept


def _set(ids: list[int], person: Person, chance: random.Random) -> list[int]:
    if not ids or not _other(person.lists, chance):
        return ids
    return chance.sample(ids, len(ids)) + chance.choices(ids, k=2)


def _row(row: list[int], chance: random.Random) -> list[int]:
    """The same annotations in the same order, the zeros elsewhere, and not the same number of them."""
    wanted = [number for number in row if number]
    padded = wanted + [0] * chance.randrange(4)
    for _ in range(chance.randrange(3)):
        padded.insert(chance.randrange(len(padded) + 1), 0)
    return padded[:16] if len(wanted) == len([n for n in padded[:16] if n]) else wanted


class _Writer:
    """JSON as one person writes it."""

    def __init__(self, person: Person, chance: random.Random) -> None:
        self._person, self._chance = person, chance
        self._comma, self._colon = person.spaces

    def written(self, value: Any, at: str = "") -> str:
        if isinstance(value, dict):
            return "{" + self._comma.join(self._member(name, member) for name, member in value.items()) + "}"
        if isinstance(value, list):
            if self._person.numbers == "plain":
                return json.dumps(value, separators=self._person.spaces)
            return "[" + self._comma.join(self.written(item, at) for item in value) + "]"
        if isinstance(value, bool) or value is None:
            return json.dumps(value)
        if isinstance(value, str):
            escape = self._person.numbers == "chance" and self._chance.random() < 0.3
            return f'"\\u{ord(value[0]):04x}{value[1:]}"' if escape else json.dumps(value)
        return self._number(value, at)

    def _member(self, name: str, value: Any) -> str:
        return f'"{name}"{self._colon}{self.written(value, name)}'

    def _number(self, value: float, at: str) -> str:
        if at == "coordinates" and value and self._person.numbers != "plain":
            return str(np.float32(value))  # fewer digits, the same float32
        if self._person.numbers == "plain" or value != int(value) or abs(value) > 10**6:
            return repr(value)
        if self._person.numbers == "other":
            return f"{int(value)}.0"
        if value == 0:
            return self._chance.choice(("0", "0.0", "-0.0", "0e0", "-0"))
        # Most tokens as they are, so that bodies stay short.
        return f"{int(value)}" if self._chance.random() < 0.9 else self._chance.choice((f"{value:.2f}", f"{value:g}e0"))
