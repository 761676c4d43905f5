"""What purges leave: which part of an address moves for whom, and which answers are stale."""

from dataclasses import replace

import pytest

from gateway.core.purge_state import PurgeState

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
