"""Several different calls say something about the upstream; one, however often, does not."""

import pytest

from gateway.core.faulty_calls import LATELY_S, MAX_CALLS, SEVERAL, FaultyCalls


def names(count: int) -> list[bytes]:
    return [b"%d" % n for n in range(count)]


def test_one_call_is_one_however_often_it_is_at_fault() -> None:
    calls = FaultyCalls()
    assert not any(calls.add(float(n), b"same") for n in range(50))


@pytest.mark.parametrize("repeats", [1, 3])
def test_several_calls_are_several(repeats: int) -> None:
    calls = FaultyCalls()
    said = [calls.add(1.0, name) for name in names(SEVERAL) for _ in range(repeats)]
    assert said == [False] * (SEVERAL - 1) * repeats + [True] * repeats


def test_what_is_longer_ago_than_a_minute_is_forgotten() -> None:
    calls = FaultyCalls()
    for name in names(SEVERAL - 1):
        calls.add(0.0, name)
    assert not calls.add(LATELY_S + 0.1, b"later")
    assert calls.add(LATELY_S + 0.1, b"and another") is (SEVERAL <= 2)


def test_no_more_than_a_few_are_remembered() -> None:
    calls = FaultyCalls()
    for name in names(10 * MAX_CALLS):
        calls.add(1.0, name)
    assert len(calls._at) == MAX_CALLS
