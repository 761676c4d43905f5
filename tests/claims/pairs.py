"""Random pairs of bodies that are one call, or differ in exactly one thing that matters, known by construction.

    python -m tests.claims.pairs --pairs 100000 --processes 2

Both sides are then written in random spellings that no upstream could tell apart. A wrong share is a key that two
different calls have in common, a missed share two keys of one call; each is counted at each level.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pool
from random import Random

from gateway.core.endpoint import ParseConfig
from gateway.core.rules import rule_set
from gateway.core.types import Call
from tests.claims.bodies import body, length, waits
from tests.claims.changes import CHANGES
from tests.claims.moves import MOVES, twin
from tests.claims.table import TRACKS, Json
from tests.endpoints.examples import ESM3, ESMC, call
from tests.endpoints.meanings import Meaning, said

LEVELS = {level: ParseConfig({ESM3: 1.0, ESMC: 0.5}, rule_set=rule_set(level, {})) for level in ("wire", "sampler")}


@dataclass(frozen=True)
class Pair:
    """Two bodies, what was done to them, and the level from which on they are one call (or never)."""

    one: Json
    other: Json
    same: str
    by: tuple[str, ...]


def pair(chance: Random) -> Pair:
    """Equal in meaning, or different in one thing that matters, one as often as the other."""
    while True:
        track = chance.choice(TRACKS)
        made = body(chance, track, chance.choice([7, 7, 8, 9, 12]), deterministic=False)
        names = chance.sample(
            [name for name, move in MOVES.items() if track in move.tracks], chance.choice([0, 1, 1, 3])
        )
        for name in names:
            MOVES[name].prepare(chance, made)
        change = chance.choice(CHANGES) if chance.random() < 0.5 else None
        other = twin(made) if change is None else change(chance, made)
        if other is None or not (valid(made) and valid(other)):
            continue
        twins, by = moved(chance, other, names)
        if valid(twins):
            same = "never" if change is not None else "sampler" if twins != made else "wire"
            return Pair(made, twins, same, (*by, *([change.__name__] if change is not None else [])))


def moved(chance: Random, made: Json, names: list[str]) -> tuple[Json, tuple[str, ...]]:
    """The same call after those moves that are still possible."""
    by: list[str] = []
    for name in names:
        other = MOVES[name].move(chance, made)
        if other is not None and valid(other):
            made, by = other, [*by, name]
    return made, tuple(by)


def valid(made: Json) -> bool:
    """Whether the gateway takes it: something to generate, no more steps than positions."""
    return waits(made) > 0 and made["num_steps"] <= length(made)


def text(made: Json, chance: Random) -> str:
    """One of many spellings."""
    parameters = {name: value for name, value in made.items() if name != "inputs"}
    given = {name: track for name, track in made["inputs"].items() if track is not None}
    return said(Meaning(parameters, given), chance.randrange(2**32))


def judged(number: int) -> tuple[str, tuple[str, ...], list[str]]:
    """The pair with this number: its kind, what was done, and the faults found."""
    chance = Random(number)
    made = pair(chance)
    texts = text(made.one, chance), text(made.other, chance)
    errors = []
    for level, rules in LEVELS.items():
        one, other = (call("generate_tensor", each, rules=rules) for each in texts)
        expected = made.same == "wire" or made.same == level
        if share_an_entry(one, other) != expected:
            errors.append(f"{level}: {'missed' if expected else 'wrong'} share")
    return made.same, made.by, errors


def share_an_entry(one: Call, other: Call) -> bool:
    return one.cache_digest == other.cache_digest and one.flagged == other.flagged and one.model == other.model


def judge(numbers: range, processes: int = 1) -> Iterator[tuple[int, tuple[str, tuple[str, ...], list[str]]]]:
    """Every pair of these numbers."""
    if processes == 1:
        yield from zip(numbers, map(judged, numbers), strict=True)
        return
    with Pool(processes) as pool:
        yield from zip(numbers, pool.imap(judged, numbers, chunksize=200), strict=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Random pairs of calls against the keys that the gateway gives them.")
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    kinds, done, errors = Counter[str](), Counter[str](), Counter[str]()
    for number, (same, by, found) in judge(range(options.pairs), options.processes):
        kinds[same] += 1
        done.update(by)
        errors.update(found)
        if found:
            print(f"pair {number} ({same}; {', '.join(by)}): {'; '.join(found)}", file=sys.stderr)
    shares = {f"{level}: {kind} share": 0 for level in LEVELS for kind in ("wrong", "missed")}
    print(json.dumps({"pairs": options.pairs, "same": kinds, "done": done, **shares, **errors}, indent=1))
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
