"""The breaker: when nothing is sent, when one call tries, and what its outcome does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.breaker import Breaker

OPEN_S = 10.0


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker(failures=3, open_s=OPEN_S)
    for _ in range(3):
        assert breaker.try_acquire(at)
        breaker.failed(at)
    return breaker


def trying(at: float = 110.0) -> Breaker:
    breaker = opened()
    assert breaker.try_acquire(at)
    return breaker


def test_a_new_one_lets_everything_through() -> None:
    breaker = Breaker(failures=3, open_s=OPEN_S)
    assert all(breaker.try_acquire(now) for now in (0.0, 0.0, 5.0))
    assert (breaker.state(), breaker.seconds_left(5.0)) == ("closed", 0.0)


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_it_opens_at_the_last_of_so_many_failures_in_a_row_and_not_before(failures: int) -> None:
    breaker = Breaker(failures=failures, open_s=OPEN_S)
    for _ in range(failures - 1):
        breaker.failed(1.0)
        assert breaker.try_acquire(1.0)
    breaker.failed(1.0)
    assert not breaker.try_acquire(1.0)
    assert breaker.state() == "open"


def test_a_success_between_failures_begins_the_count_anew() -> None:
    breaker = Breaker(failures=3, open_s=OPEN_S)
    for _ in range(10):
        breaker.failed(1.0)
        breaker.failed(1.0)
        breaker.succeeded()
    assert breaker.state() == "closed"


def test_a_call_that_says_nothing_neither_counts_nor_forgives() -> None:
    breaker = Breaker(failures=2, open_s=OPEN_S)
    breaker.release()
    breaker.release()
    assert breaker.try_acquire(1.0)
    breaker.failed(1.0)
    breaker.release()
    breaker.failed(1.0)
    assert not breaker.try_acquire(1.0)


@given(st.floats(0.0, OPEN_S, exclude_max=True))
@settings(deadline=None)
def test_while_open_nothing_goes_and_it_says_how_long(since: float) -> None:
    breaker = opened(at=0.0)
    assert not breaker.try_acquire(since)
    assert breaker.seconds_left(since) == pytest.approx(OPEN_S - since)
    assert breaker.state() == "open"


def test_after_its_time_one_call_tries_and_the_others_wait_for_its_outcome() -> None:
    breaker = opened(at=100.0)
    assert [breaker.try_acquire(now) for now in (109.9, 110.0, 110.0, 112.0, 119.9)] == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert (breaker.state(), breaker.seconds_left(112.0)) == ("half-open", 0.0)


def test_a_trial_that_worked_closes_it_wholly() -> None:
    breaker = trying()
    breaker.succeeded()
    assert breaker.state() == "closed"
    breaker.failed(111.0)
    breaker.failed(111.0)
    assert breaker.try_acquire(111.0), "the failures from before the trial still count"


def test_a_failed_trial_opens_it_for_as_long_again() -> None:
    breaker = trying(at=110.0)
    breaker.failed(115.0)
    assert breaker.state() == "open"
    assert breaker.seconds_left(115.0) == OPEN_S
    assert [breaker.try_acquire(now) for now in (115.0, 124.9, 125.0, 125.0)] == [False, False, True, False]


def test_an_abandoned_trial_gives_its_turn_to_the_next_call() -> None:
    breaker = trying(at=110.0)
    assert not breaker.try_acquire(110.0)
    breaker.release()
    assert breaker.state() == "open"
    assert [breaker.try_acquire(now) for now in (110.0, 110.0)] == [True, False]


def test_a_trial_that_never_reports_does_not_keep_it_open_for_ever() -> None:
    breaker = trying(at=110.0)
    assert [breaker.try_acquire(now) for now in (119.9, 120.0, 120.0, 129.9, 130.0)] == [
        False,
        True,
        False,
        False,
        True,
    ]


@given(st.lists(st.tuples(st.integers(0, 25), st.sampled_from(["ask", "failed", "succeeded", "release"])), max_size=60))
@settings(deadline=None)
def test_whatever_happened_an_upstream_that_is_well_again_is_asked_again(events: list[tuple[int, str]]) -> None:
    breaker, now = Breaker(failures=2, open_s=OPEN_S), 0.0
    for pause, event in events:
        now += pause
        if event == "ask":
            breaker.try_acquire(now)
        elif event == "failed":
            breaker.failed(now)
        else:
            getattr(breaker, event)()
    assert breaker.seconds_left(now) <= OPEN_S
    later = now + 2 * OPEN_S
    assert breaker.try_acquire(later)
    breaker.succeeded()
    assert breaker.try_acquire(later)
    assert breaker.state() == "closed"
