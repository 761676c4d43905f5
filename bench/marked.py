"""Questions without end that are cheap to ask and to check: each has tokens of its own, by its number.

Small ones are hot: they are asked again and again, in several spellings. The answer to a question is known by the
digest of it that the stand-in upstream writes into it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from bench.asking import request
from bench.bodies import PATH
from bench.notebook import AMINO_ACIDS, MASK, TRACKS, Body
from bench.spellings import PEOPLE, spelled
from bench.truth import digest

RESIDUES: Final = 60
SPELLINGS: Final = 4
_BATCH: Final = 5000


@dataclass(frozen=True, slots=True)
class Marked:
    """A question: its number, its meaning, its digest, and requests that ask it, each by somebody."""

    number: int
    body: Body = field(repr=False)
    digest: int
    requests: Sequence[bytes] = field(repr=False)

    @property
    def exact(self) -> bool:
        """Whether everybody must get the same answer, whatever was forgotten in between."""
        return not self.body["temperature_annealing"]


class Questions:
    """Drawn at random: one of `hot` known ones (few of them much more often than the rest), or a new one."""

    def __init__(self, url: str, keys: Sequence[str], hot: int, new_share: float, seed: int) -> None:
        self._url, self._keys, self._new_share = url, keys, new_share
        self._chance = random.Random(seed)
        self._next = hot
        self.hot = [self.made(number, SPELLINGS) for number in range(hot)]
        self._weights = list(accumulate(1 / (1 + number) ** 0.9 for number in range(hot)))
        self._drawn: list[Marked] = []

    def draw(self) -> Marked:
        if self._chance.random() < self._new_share:
            self._next += 1
            return self.made(self._next, 1)
        if not self._drawn:
            self._drawn = self._chance.choices(self.hot, cum_weights=self._weights, k=_BATCH)
        return self._drawn.pop()

    def other_than(self, marked: Marked) -> Marked:
        return self.hot[1] if marked is self.hot[0] else self.hot[0]

    def made(self, number: int, spellings: int) -> Marked:
        body = _body(number)
        requests = []
        for person in self._chance.sample(PEOPLE, spellings):
            text = spelled(body, person, self._chance)
            requests.append(request(self._url, PATH, self._chance.choice(self._keys), text))
        return Marked(number, body, digest(body), requests)


def _body(number: int) -> Body:
    chance = random.Random(number)
    sequence = [0, *chance.choices(AMINO_ACIDS, k=RESIDUES), 2]
    begin = chance.randrange(1, RESIDUES - 24)
    sequence[begin : begin + 24] = [MASK] * 24
    pinned = number % 5 == 0
    return {
        "model": "esm3-open-2024-03",
        "inputs": {**dict.fromkeys(TRACKS), "residue_annotation": None, "sequence": sequence},
        "track": "sequence",
        "invalid_ids": chance.sample(AMINO_ACIDS, number % 3),
        "schedule": "cosine",
        "num_steps": 1 + number % 20,
        "temperature": 0,
        "top_p": 1,
        "condition_on_coordinates_only": True,
        "strategy": "entropy",
        "temperature_annealing": pinned,
        "potential_sequence_of_concern": False,
    }
