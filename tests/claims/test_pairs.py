"""Two thousand random pairs: no key is shared that should not be, none is missed. `make test-pairs` runs many more."""

from collections import Counter
from random import Random

import pytest

from gateway.core.endpoint import ParseConfig
from gateway.core.rules import SAMPLER, rule_set
from tests.claims.bodies import body
from tests.claims.changes import CHANGES
from tests.claims.moves import MOVES, OPTIONAL
from tests.claims.pairs import judge, pair
from tests.endpoints.examples import ESM3, call

QUARTER = 500


@pytest.mark.parametrize("quarter", range(4))
def test_keys_are_shared_exactly_by_calls_of_one_meaning(quarter: int) -> None:
    faulty = [
        (number, same, by, errors)
        for number, (same, by, errors) in judge(range(quarter * QUARTER, (quarter + 1) * QUARTER))
        if errors
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


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_rule_sees_its_pairs_where_it_is_named_and_only_there(name: str) -> None:
    named, default = (
        ParseConfig({ESM3: 1.0}, rule_set=rule_set("sampler", switches)) for switches in ({name: True}, {})
    )
    seen = 0
    for number in range(300):
        chance = Random(number)
        made = body(chance, chance.choice(OPTIONAL[name].tracks), 9, deterministic=True)
        OPTIONAL[name].prepare(chance, made)
        other = OPTIONAL[name].move(chance, made)
        if other is None:
            continue
        seen += 1
        one, two = (call("generate_tensor", each, rules=named) for each in (made, other))
        assert one.sharing_digest == two.sharing_digest, (made, other)
        one, two = (call("generate_tensor", each, rules=default) for each in (made, other))
        assert one.sharing_digest != two.sharing_digest or two.units == one.units == one.length
    assert seen > 50
