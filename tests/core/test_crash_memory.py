"""A call that failed twice while others succeeded is remembered for a minute, and for no other reason."""

import pytest

from gateway.core.crash_memory import LATELY_S, MAX_CALLS, REMEMBERED_S, CrashMemory


def test_one_failure_is_not_remembered() -> None:
    memory = CrashMemory()
    memory.succeeded(0.0, b"other")
    memory.failed(1.0, b"call", "no masks")
    assert memory.reason(1.0, b"call") is None
    assert memory.seconds_ago(1.5, b"call") == 0.5


@pytest.mark.parametrize("reason", ["no masks", ""])
def test_a_second_one_while_another_call_succeeded_is_with_its_reason(reason: str) -> None:
    memory = CrashMemory()
    memory.succeeded(0.0, b"other")
    memory.failed(1.0, b"call", "first")
    memory.failed(2.0, b"call", reason)
    assert memory.reason(2.0, b"call") == reason
    assert memory.reason(2.0, b"another") is None


@pytest.mark.parametrize("at, other", [(0.0, b"call"), (-LATELY_S, b"other"), (None, b"")])
def test_where_no_other_call_succeeded_lately_it_may_be_the_upstream(at: float | None, other: bytes) -> None:
    memory = CrashMemory()
    if at is not None:
        memory.succeeded(at, other)
    for now in (1.0, 2.0, 3.0):
        memory.failed(now, b"call", "boom")
    assert memory.reason(3.0, b"call") is None


def test_it_is_forgotten_after_a_minute() -> None:
    memory = CrashMemory()
    memory.succeeded(0.0, b"other")
    memory.failed(1.0, b"call", "boom")
    memory.failed(2.0, b"call", "boom")
    assert memory.reason(2.0 + REMEMBERED_S - 0.01, b"call") == "boom"
    assert memory.reason(2.0 + REMEMBERED_S, b"call") is None
    assert len(memory) == 0


def test_a_success_of_it_clears_it() -> None:
    memory = CrashMemory()
    memory.succeeded(0.0, b"other")
    memory.failed(1.0, b"call", "boom")
    memory.failed(2.0, b"call", "boom")
    memory.succeeded(3.0, b"call")
    assert memory.reason(3.0, b"call") is None
    memory.failed(4.0, b"call", "boom")
    assert memory.reason(4.0, b"call") is None


def test_it_is_bounded() -> None:
    memory = CrashMemory()
    for n in range(2 * MAX_CALLS):
        memory.failed(1.0, b"%d" % n, "boom")
    assert len(memory) == MAX_CALLS
