"""Which hits are computed again, and when two answers say the same."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.spot_check import BUDGET_HOLDER, NEVER, SpotCheckConfig, hits_until_next, same_outputs


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_over_many_hits_the_share_is_what_was_set(share: float) -> None:
    drawn = random.Random(7)
    gaps = [hits_until_next(share, drawn.randbytes(8)) for _ in range(20_000)]
    assert len(gaps) / sum(gaps) == pytest.approx(share, rel=0.03)
    assert min(gaps) == 1


def test_each_hit_is_chosen_by_itself_so_no_pattern_of_callers_falls_beside_it() -> None:
    """A caller who alternates two calls has both of them chosen about equally often, as every tenth hit would not."""
    drawn, at, chosen = random.Random(7), 0, []
    while at < 200_000:
        at += hits_until_next(0.1, drawn.randbytes(8))
        chosen.append(at % 2)
    assert sum(chosen) / len(chosen) == pytest.approx(0.5, abs=0.02)


@given(st.binary(min_size=8, max_size=8), st.floats(1e-300, 1, exclude_max=True))
def test_whatever_chance_says_there_is_a_next_one(chance: bytes, share: float) -> None:
    assert hits_until_next(share, chance) >= 1


@given(st.binary(min_size=8, max_size=8))
def test_a_share_of_0_is_none_and_of_1_is_every_hit(chance: bytes) -> None:
    assert hits_until_next(0.0, chance) == NEVER
    assert hits_until_next(1.0, chance) == 1


@pytest.mark.parametrize(
    "one, other",
    [
        (b'{"outputs":{"sequence":[0,5]}}', b'{ "outputs": {"sequence": [0, 5.0]}, "serial": 7}'),
        (b'{"outputs":{"a":1,"b":2}}', b'{"outputs":{"b":2,"a":1},"warning_messages":["x"]}'),
        (b'{"outputs":{"a":1}}', b'{"data":{"outputs":{"a":1}}}'),
        (b'{"outputs":{"c":[[1e0,null]]}}', b'{"outputs":{"c":[[1,null]]}}'),
        (b'{"logits":[1]}', b'{"logits": [1]}'),
    ],
)
def test_answers_with_equal_outputs_are_the_same(one: bytes, other: bytes) -> None:
    assert same_outputs(one, other)
    assert same_outputs(other, one)


@pytest.mark.parametrize(
    "one, other",
    [
        (b'{"outputs":{"sequence":[0,5]}}', b'{"outputs":{"sequence":[0,6]}}'),
        (b'{"outputs":{"sequence":[0,5]}}', b'{"outputs":{"sequence":[0,5],"sasa":null}}'),
        (b'{"outputs":{"c":[[1.0000001]]}}', b'{"outputs":{"c":[[1]]}}'),
        (b'{"outputs":{"a":[1,2]}}', b'{"outputs":{"a":[2,1]}}'),
        (b'{"logits":[1]}', b'{"logits":[2]}'),
    ],
)
def test_answers_with_other_outputs_are_not(one: bytes, other: bytes) -> None:
    assert not same_outputs(one, other)
    assert not same_outputs(other, one)


def test_the_budget_is_one_limit_of_units_a_day_under_a_name_that_no_user_can_have() -> None:
    limit = SpotCheckConfig(units_per_day=77).limit
    assert (limit.kind, limit.amount, limit.window_s) == ("units", 77, 86_400)
    assert not BUDGET_HOLDER[0].isalnum()
