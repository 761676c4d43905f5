"""Runs the pairs of a file on the tiny model, each side with another random state, and counts differences."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch

from tests.sampler import tiny

Where = tuple[str, str, str]
"""(kind, rule, track)"""


@dataclass
class Tally:
    """The counts of one rule on one track."""

    played: int = 0
    shared: int = 0
    differ: int = 0
    shared_and_differ: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        self.played += other.played
        self.shared += other.shared
        self.differ += other.differ
        self.shared_and_differ += other.shared_and_differ
        self.errors.update(other.errors)


def play(path: Path, first: int, step: int) -> dict[Where, Tally]:
    """Every `step`th line from the `first` on."""
    torch.set_num_threads(1)
    model, found = tiny.model(), defaultdict[Where, Tally](Tally)
    with path.open() as lines:
        for number, line in enumerate(islice(lines, first, None, step)):
            case = json.loads(line)
            one, other = (tiny.generated(model, case[side], 2 * number + i) for i, side in enumerate(("one", "other")))
            differ, errors = one != other, [made for made in (one, other) if isinstance(made, str)]
            where = (case["kind"], case["rule"], case["track"])
            shared = bool(case["shared"])
            found[where].add(Tally(1, shared, differ, shared and differ, Counter(errors)))
    return dict(found)
