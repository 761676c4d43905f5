"""Two thousand random pairs: no key is shared that should not be, none is missed. `make test-pairs` runs many more."""

from collections import Counter
from random import Random

import pytest

from gateway.core.rules import SAMPLER
from tests.claims.changes import CHANGES
from tests.claims.moves import MOVES
from tests.claims.pairs import judge, pair

QUARTER = 500


@pytest.mark.parametrize("quarter", range(4))
def test_keys_are_shared_exactly_by_calls_of_one_meaning(quarter: int) -> None:
    faulty = [
        (number, same, by, faults)
        for number, (same, by, faults) in judge(range(quarter * QUARTER, (quarter + 1) * QUARTER))
        if faults
    ]
    assert faulty == []


def test_the_pairs_are_of_every_kind_and_use_every_move_and_change() -> None:
    pairs = [pair(Random(number)) for number in range(2000)]
    kinds, done = Counter(made.same for made in pairs), Counter(by for made in pairs for by in made.by)
    assert min(kinds[kind] for kind in ("wire", "sampler", "never")) > 200
    assert min(done[name] for name in (*MOVES, *(change.__name__ for change in CHANGES))) >= 10


def test_there_is_a_move_for_every_rule_that_is_on_by_default() -> None:
    assert set(MOVES) == {rule.name for rule in SAMPLER if not rule.optional}
    assert {name: set(move.tracks) for name, move in MOVES.items()} == {
        rule.name: set(rule.tracks) for rule in SAMPLER if not rule.optional
    }
