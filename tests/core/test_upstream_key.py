"""A key: fewer calls after a refusal, a rest only after a second look, more again with each success."""

import pytest

from gateway.core.upstream_key import FIRST_REST_S, MAX_CALLERS, MAX_DISABLED_S, MAX_REST_S, UpstreamKey


def key(window: int = 16) -> UpstreamKey:
    made = UpstreamKey("one", "secret")
    made.limit(window)
    return made


def refuse(made: UpstreamKey, now: float, caller: str = "ada", asked_s: float | None = None) -> bool:
    """A call that was sent and refused at once."""
    made.sent(now)
    made.returned()
    return made.was_refused(now, now, caller, "cooling_down", asked_s, 10.0)


def test_one_refusal_halves_the_window_and_is_no_rest() -> None:
    made = key()
    assert not refuse(made, 1.0, asked_s=30.0)
    assert (made.window, made.state(1.0), made.seconds_left(1.0, "ada")) == (8.0, "ready", 0.0)
    assert made.has_room(1.0, "ada")


def test_refusals_of_calls_that_were_under_way_are_one_refusal() -> None:
    made = key()
    for _ in range(8):
        made.sent(1.0)
    for _ in range(8):
        made.returned()
        made.was_refused(1.5, 1.0, "ada", "cooling_down", None, 10.0)
    assert (made.window, made.looks, made.state(1.5)) == (8.0, 1, "ready")


@pytest.mark.parametrize("asked_s, rests_s", [(30.0, 30.0), (0.5, 0.5), (None, FIRST_REST_S), (1e9, MAX_REST_S)])
def test_a_second_look_that_is_refused_is_a_rest_for_as_long_as_was_asked(
    asked_s: float | None, rests_s: float
) -> None:
    made = key()
    refuse(made, 1.0)
    assert refuse(made, 2.0, asked_s=asked_s)
    assert made.state(2.0) == "cooling_down"
    assert made.seconds_left(2.0, "ada") == pytest.approx(rests_s)
    assert not made.has_room(2.0 + rests_s - 0.01, "ada")
    assert made.has_room(2.0 + rests_s + 0.01, "ada")


@pytest.mark.parametrize("kind, most_s, last", [("cooling_down", 10.0, 10.0), ("disabled", MAX_DISABLED_S, 300.0)])
def test_rests_double_while_refusals_go_on(kind: str, most_s: float, last: float) -> None:
    made, now, rests = key(), 1.0, []
    for _ in range(13):
        made.sent(now)
        made.returned()
        made.was_refused(now, now, "ada", kind, None, most_s)  # type: ignore[arg-type]
        rests.append(made.seconds_left(now, "ada"))
        now += rests[-1]
    assert rests[:5] == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert rests[-1] == last
    assert made.state(now - 0.1) == kind


def test_the_first_success_after_it_ends_a_rest_and_one_from_before_does_not() -> None:
    made = key()
    refuse(made, 1.0)
    refuse(made, 2.0, asked_s=30.0)
    made.succeeded(1.5, "bob")
    assert made.seconds_left(3.0, "ada") > 0
    made.succeeded(2.5, "bob")
    assert (made.seconds_left(3.0, "ada"), made.looks) == (0.0, 0)


def test_after_a_rest_one_call_looks_and_the_window_grows_fast_to_half_and_then_slowly() -> None:
    made = key(64)
    refuse(made, 1.0)
    refuse(made, 2.0, asked_s=1.0)
    made.sent(3.0)
    assert not made.has_room(3.5, "ada")
    assert made.has_room(4.0, "ada")  # a look that takes long is not waited for
    made.returned()
    windows = []
    for _ in range(40):
        made.succeeded(3.0, "ada")
        windows.append(made.window)
    assert windows[30] == 32.0
    assert 32.0 < windows[-1] < 33.0
    for _ in range(5000):
        made.succeeded(3.0, "ada")
    assert made.window == 64.0


def test_a_rest_that_one_callers_calls_caused_lets_another_caller_look_once_a_second() -> None:
    made = key()
    refuse(made, 1.0, "ada")
    refuse(made, 1.1, "ada", asked_s=60.0)
    assert not made.has_room(1.2, "ada")
    assert made.has_room(1.2, "bob")
    made.sent(1.2)
    assert not made.has_room(1.3, "bob")
    assert made.has_room(2.3, "bob")
    made.returned()
    made.succeeded(1.2, "bob")
    assert made.has_room(1.4, "ada")


def test_a_caller_whose_calls_alone_are_refused_lowers_the_window_once() -> None:
    made, now = key(64), 1.0
    for _ in range(50):
        refuse(made, now, "eve")
        made.succeeded(now + 0.1, "bob")
        now += 0.2
    assert made.window >= 32.0
    made.succeeded(now, "eve")
    refuse(made, now + 1, "eve")
    assert made.window < 32.0


def test_a_key_that_is_rejected_is_looked_at_with_one_call_at_a_time_from_the_start() -> None:
    made = key()
    made.sent(1.0)
    made.returned()
    made.was_refused(1.0, 1.0, "ada", "disabled", None, MAX_DISABLED_S)
    assert made.has_room(1.0, "ada")
    made.sent(1.0)
    assert not made.has_room(1.5, "ada")


def test_what_it_remembers_of_callers_is_bounded() -> None:
    made, now = key(), 1.0
    for n in range(2 * MAX_CALLERS):
        refuse(made, now, f"u{n}")
        now += 1.0
    assert len(made.refused) <= MAX_CALLERS
    assert len(made.blamed) <= MAX_CALLERS


def test_its_secret_is_in_no_repr() -> None:
    assert "secret" not in repr(key())
