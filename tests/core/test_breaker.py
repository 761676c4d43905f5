"""The breaker: whose failures close the upstream for whom, when a probe goes, and what its outcome does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.breaker import FIRST_OPEN_S, LATELY_S, MAX_CALLERS, Breaker

OPEN_S = 10.0
CALL, OTHER = b"call", b"other"


def fail(breaker: Breaker, now: float, *callers: str, call: bytes = CALL) -> None:
    for caller in callers:
        breaker.failed(now, caller, call)


def test_a_new_one_lets_everything_through() -> None:
    breaker = Breaker(3, OPEN_S)
    assert all(breaker.try_acquire(now, "ada") for now in (0.0, 0.0, 5.0))
    assert (breaker.state(), breaker.seconds_left(5.0, "ada"), breaker.callers_open()) == ("closed", 0.0, 0)


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_a_lab_of_one_user_is_closed_at_the_last_of_so_many_failures_and_not_before(failures: int) -> None:
    breaker = Breaker(failures, OPEN_S)
    fail(breaker, 1.0, *["ada"] * (failures - 1))
    assert breaker.try_acquire(1.0, "ada")
    assert breaker.state() == "closed"
    fail(breaker, 1.0, "ada")
    assert not breaker.try_acquire(1.0, "ada")
    assert breaker.state() == "open"


@pytest.mark.parametrize("failures", [3, 10, 1000])
def test_one_callers_failures_close_it_for_nobody_else_while_others_succeed(failures: int) -> None:
    breaker = Breaker(3, OPEN_S)
    breaker.succeeded(0.0, "bob")
    fail(breaker, LATELY_S - 1, *["ada"] * failures)
    assert breaker.state() == "closed"
    assert not breaker.try_acquire(LATELY_S - 1, "ada")
    assert all(breaker.try_acquire(LATELY_S - 1, who) for who in ("bob", "carl"))
    assert breaker.callers_open() == 1


def test_two_callers_failures_close_it_for_both_and_not_for_who_succeeded_lately() -> None:
    breaker = Breaker(4, OPEN_S)
    breaker.succeeded(0.0, "bob")
    fail(breaker, 1.0, "ada", "eve", "ada", "eve")
    assert breaker.state() == "open"
    assert not breaker.try_acquire(1.0, "ada")
    assert not breaker.try_acquire(1.0, "eve")
    assert all(breaker.try_acquire(1.0, "bob") for _ in range(5))
    breaker.succeeded(1.1, "bob")
    assert breaker.state() == "closed"


def test_who_has_not_failed_may_probe_at_once_but_one_at_a_time() -> None:
    breaker = Breaker(3, OPEN_S)
    fail(breaker, 1.0, "ada", "eve", "ada")
    assert breaker.try_acquire(1.0, "carl")
    assert breaker.state() == "half-open"
    assert not breaker.try_acquire(1.0, "dora")
    breaker.failed(1.5, "carl", CALL)
    assert not breaker.try_acquire(1.5, "carl")
    assert breaker.try_acquire(1.5, "dora")
    breaker.succeeded(1.6, "dora")
    assert (breaker.state(), breaker.try_acquire(1.6, "carl")) == ("closed", True)


def test_pauses_double_while_probes_fail_up_to_the_setting_and_begin_anew_after_a_success() -> None:
    breaker, now, pauses = Breaker(2, OPEN_S), 0.0, []
    fail(breaker, now, "ada", "ada")
    for _ in range(6):
        pauses.append(breaker.seconds_left(now, "ada"))
        now += pauses[-1]
        assert not breaker.try_acquire(now - 0.001, "ada")
        assert breaker.try_acquire(now, "ada")
        assert not breaker.try_acquire(now, "ada")
        breaker.failed(now, "ada", CALL)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    now += 10.0
    assert breaker.try_acquire(now, "ada")
    breaker.succeeded(now, "ada")
    fail(breaker, now, "ada", "ada")
    assert breaker.seconds_left(now, "ada") == FIRST_OPEN_S


def test_a_call_that_says_nothing_neither_counts_nor_forgives_and_leaves_the_probe_to_the_next() -> None:
    breaker = Breaker(2, OPEN_S)
    breaker.release("ada")
    fail(breaker, 1.0, "ada")
    breaker.release("ada")
    fail(breaker, 1.0, "ada")
    assert not breaker.try_acquire(1.5, "ada")
    assert breaker.try_acquire(2.0, "ada")
    breaker.release("ada")
    assert breaker.try_acquire(2.0, "ada")


def test_a_probe_that_never_reports_does_not_keep_it_open_for_ever() -> None:
    breaker = Breaker(2, OPEN_S)
    fail(breaker, 0.0, "ada", "ada")
    assert breaker.try_acquire(1.0, "ada")
    assert not breaker.try_acquire(1.9, "ada")
    assert breaker.try_acquire(2.0, "ada")


def test_a_better_probe_is_a_call_that_has_not_failed() -> None:
    breaker = Breaker(2, OPEN_S)
    fail(breaker, 0.0, "ada")
    assert not breaker.is_suspect("ada", CALL)
    fail(breaker, 0.0, "ada")
    assert breaker.is_suspect("ada", CALL)
    assert not breaker.is_suspect("ada", OTHER)
    assert not breaker.is_suspect("bob", CALL)


def test_it_says_since_when_it_is_open() -> None:
    breaker = Breaker(2, OPEN_S)
    assert breaker.open_since("ada") is None
    fail(breaker, 5.0, "ada", "ada")
    breaker.try_acquire(6.0, "ada")
    fail(breaker, 7.0, "ada")
    assert breaker.open_since("ada") == 5.0
    breaker.succeeded(8.0, "ada")
    assert breaker.open_since("ada") is None


def test_what_it_remembers_of_callers_is_bounded() -> None:
    breaker = Breaker(2, OPEN_S)
    for n in range(3 * MAX_CALLERS):
        breaker.failed(1.0, f"u{n}", CALL)
        breaker.succeeded(1.0, f"s{n}")
    assert len(breaker._own) <= MAX_CALLERS
    assert len(breaker._succeeded) <= MAX_CALLERS
    breaker.succeeded(1.0 + LATELY_S + 1, "late")
    assert list(breaker._succeeded) == ["late"]


EVENTS = st.lists(
    st.tuples(st.sampled_from(["fail", "success", "release", "ask"]), st.sampled_from("abc")), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_whatever_happened_an_upstream_that_is_well_again_is_asked_again_by_everybody(
    events: list[tuple[str, str]],
) -> None:
    breaker, now = Breaker(2, OPEN_S), 0.0
    for event, who in events:
        now += 0.3
        if event == "ask":
            breaker.try_acquire(now, who)
        elif event == "fail":
            breaker.failed(now, who, CALL)
        elif event == "success":
            breaker.succeeded(now, who)
        else:
            breaker.release(who)
    for who in "abc":
        now += OPEN_S
        assert breaker.try_acquire(now, who)
        breaker.succeeded(now, who)
    assert breaker.state() == "closed"
    assert all(breaker.try_acquire(now, who) for who in "abcd")
