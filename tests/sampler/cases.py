"""Writes the pairs of calls to run on the real sampler, one JSON line each. Needs the gateway's environment.

    python -m tests.sampler.cases FILE [--cases 200]

Each pair is written with what the gateway makes of it: whether both have one `cache_digest` under the rule that the
pair is about (all default rules for `together`). So the sampler is asked about what the gateway would share.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from gateway.core.endpoint import ParseConfig
from gateway.core.rules import RuleSet, rule_set
from gateway.core.types import DeterminismClass
from tests.claims import changes
from tests.claims.bodies import body
from tests.claims.moves import MOVES, OPTIONAL, Move
from tests.claims.pairs import moved, valid
from tests.claims.table import TRACKS, Json, claims
from tests.endpoints.examples import ESM3, ESMC, call
from tests.sampler.planted import WRONG, Wrong, is_shared_by

MODELS = {ESM3: 1.0, ESMC: 0.5}
DEFAULT = rule_set("sampler", {})


def shared(one: Json, other: Json, rules: RuleSet) -> bool:
    keys = {
        call("generate_tensor", each, rules=ParseConfig(MODELS, rule_set=rules)).cache_digest for each in (one, other)
    }
    return len(keys) == 1


def repeats(made: Json) -> bool:
    """Whether the sampler answers this identically every time, so that two answers can be compared."""
    cls = call("generate_tensor", made, rules=ParseConfig(MODELS)).determinism.cls
    return cls is DeterminismClass.EXACT


def random_body(chance: Random, track: str) -> Json:
    return body(chance, track, chance.randint(9, 16), deterministic=True)


def case(kind: str, rule: str, track: str, one: Json, other: Json, is_shared: bool) -> Json:
    return {"kind": kind, "rule": rule, "track": track, "one": one, "other": other, "shared": is_shared}


def of_claims() -> Iterator[Json]:
    """The pairs of all claims that can be compared; wire claims hold at every level."""
    for claim in claims():
        if repeats(claim.one) and repeats(claim.other) and claim.one["model"] == claim.other["model"]:
            named = RuleSet(frozenset({claim.rule})) if claim.same == "optional" else DEFAULT
            yield case("claim", str(claim), claim.track, claim.one, claim.other, shared(claim.one, claim.other, named))


def of_rule(name: str, move: Move, track: str, count: int) -> Iterator[Json]:
    """Pairs whose cache keys this rule alone makes equal."""
    chance, found, alone = Random(f"{name} {track}"), 0, RuleSet(frozenset({name}))
    while found < count:
        made = random_body(chance, track)
        move.prepare(chance, made)
        other = move.move(chance, made) if valid(made) else None
        if other is None or not valid(other) or shared(made, other, RuleSet()):
            continue
        if repeats(made) and repeats(other):
            found += 1
            yield case("rule", name, track, made, other, shared(made, other, alone))


def of_all_rules(track: str, count: int) -> Iterator[Json]:
    """Pairs that only several rules together give one cache key."""
    chance, found = Random(f"together {track}"), 0
    names = [name for name, move in MOVES.items() if track in move.tracks]
    while found < count:
        made = random_body(chance, track)
        some = chance.sample(names, 4)
        for name in some:
            MOVES[name].prepare(chance, made)
        other, by = moved(chance, made, some)
        if len(by) >= 2 and valid(made) and repeats(made) and repeats(other):
            found += 1
            yield case("together", "all", track, made, other, shared(made, other, DEFAULT))


def of_changes(track: str, count: int) -> Iterator[Json]:
    """Pairs that differ in one token, to show that the tiny model notices a difference."""
    chance, found = Random(f"change {track}"), 0
    while found < count:
        made = random_body(chance, track)
        other = changes.conditioning_token(chance, made)
        if other is not None and valid(made):
            found += 1
            yield case("change", "one conditioning token", track, made, other, shared(made, other, DEFAULT))


def of_planted(wrong: Wrong, track: str, count: int) -> Iterator[Json]:
    """Pairs that share a cache key under a deliberately wrong rule; the sampler must reveal it."""
    chance, found = Random(f"{wrong.name} {track}"), 0
    while found < count:
        made = random_body(chance, track)
        other = wrong.make(chance, made)
        if other is not None and valid(made) and valid(other):
            found += 1
            yield case("planted", wrong.name, track, made, other, is_shared_by(wrong, made, other))


def every(count: int) -> Iterator[Json]:
    yield from of_claims()
    for name, move in {**MOVES, **OPTIONAL}.items():
        for track in move.tracks:
            yield from of_rule(name, move, track, count)
    for track in TRACKS:
        yield from of_all_rules(track, count)
        yield from of_changes(track, max(20, count // 5))
    for wrong in WRONG:
        for track in wrong.tracks:
            yield from of_planted(wrong, track, max(20, count // 5))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write pairs of calls to run on the real sampler.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--cases", type=int, default=200, help="random pairs for each rule and track")
    options = parser.parse_args()
    with options.file.open("w") as file:
        for made in every(options.cases):
            file.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
