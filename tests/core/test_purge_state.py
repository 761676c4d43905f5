"""What purges leave: which part of an address moves for whom, and which answers are stale."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists, sampled_from, tuples

from gateway.core.purge_state import MAX_KEYS, Purge, PurgeState, after, decode, encode, fresh

MARKS = PurgeState(3, 7, {"small": 2}, 5.0, {"": 10.0, "small": 20.0, "old": 4.0})


@pytest.mark.parametrize(
    ("later", "moved"),
    [
        (replace(MARKS, epoch=4), {"small", "large"}),
        (replace(MARKS, models={"small": 3}), {"small"}),
        (replace(MARKS, models={"small": 2, "large": 1}), {"large"}),
        (replace(MARKS, serial=8), set()),
        (replace(MARKS, purged_before=9.0), set()),
        (replace(MARKS, stale={"": 99.0, "small": 99.0}), set()),
    ],
)
def test_a_hard_purge_moves_the_addresses_of_its_models_and_no_other_purge_does(
    later: PurgeState, moved: set[str]
) -> None:
    assert {model for model in ("small", "large") if later.generation(model) != MARKS.generation(model)} == moved


def test_no_two_states_of_the_marks_have_one_name() -> None:
    names = {PurgeState(epoch, models={"m": count}).generation("m") for epoch in range(30) for count in range(30)}
    assert len(names) == 900


def test_an_answer_is_stale_by_the_later_of_its_model_s_purge_and_the_one_of_all() -> None:
    assert [MARKS.stale_before(model) for model in ("small", "large", "old")] == [20.0, 10.0, 10.0]
    assert PurgeState(0).stale_before("small") == 0.0


EVERY_KIND = (
    Purge(),
    Purge("small"),
    Purge(soft=True),
    Purge("small", soft=True),
    Purge(older_than_s=60.0),
    Purge("small", soft=True, older_than_s=60.0),
    Purge(key="k"),
)


@given(purges=lists(tuples(sampled_from(EVERY_KIND), floats(0, 4e9)), max_size=30))
def test_no_number_ever_falls_whatever_the_clock_does(purges: list[tuple[Purge, float]]) -> None:
    state = MARKS
    for what, now in purges:
        later = after(state, what, now)
        assert later.serial > state.serial
        assert later.serial >= later.epoch >= state.epoch
        assert later.purged_before >= state.purged_before
        assert all(later.models[model] >= count for model, count in state.models.items())
        assert all(later.stale[model] >= moment for model, moment in state.stale.items())
        if later.epoch == state.epoch:
            assert all(later.gone_before(key) >= moment for key, moment in state.keys.items())
        state = later
        assert decode(encode(state)) == state


def test_one_entry_is_gone_from_the_time_of_its_purge_and_no_other_is() -> None:
    state = after(MARKS, Purge(key="k"), 100.0)
    assert (state.gone_before("k"), state.gone_before("l")) == (100.0, 5.0)
    assert after(state, Purge(key="k"), 90.0).gone_before("k") == 100.0
    assert after(state, Purge(older_than_s=1.0), 201.0).gone_before("k") == 200.0


def test_more_purged_entries_than_are_remembered_become_a_purge_of_all_that_is_older() -> None:
    state = MARKS
    for number in range(MAX_KEYS + 2):
        state = after(state, Purge(key=f"{number}"), 100.0 + number)
    assert len(state.keys) == MAX_KEYS
    assert [state.gone_before(key) for key in ("0", "1", "2", "other")] == [101.0, 101.0, 102.0, 101.0]


def test_after_a_purge_of_everything_nothing_is_remembered_of_single_entries() -> None:
    state = after(after(MARKS, Purge(key="k"), 100.0), Purge(), 200.0)
    assert (state.keys, state.generation("small") != MARKS.generation("small")) == ({}, True)


def test_a_fresh_state_is_above_all_that_were_even_if_the_clock_was_set_back() -> None:
    assert fresh(10.0, 5).epoch == fresh(10.0, 5).serial == 10_000_000
    state = after(MARKS, Purge(), 1e9)
    later = fresh(10.0, state.serial)
    assert later.epoch > state.epoch
    assert later.serial > state.serial
