"""Process memory: a repeat costs little, never gets another's answer, and the memory stays bounded."""

from unittest.mock import patch

import pytest

from gateway.adapters.memory import MemoryMeter
from gateway.core.caching import NO_WISH, Plan
from gateway.flow.memory import Memory
from tests.flow.house import a_call, an_answer


def a_memory(calls: int = 2**20, answers: int = 2**20) -> Memory:
    return Memory(MemoryMeter(), calls, answers)


def test_exactly_the_same_bytes_are_the_same_call() -> None:
    memory, call = a_memory(), a_call()
    memory.keep_call("logits", "", b"body", call)
    assert memory.call("logits", "", b"body") is call


@pytest.mark.parametrize("asked", [("encode", "", b"body"), ("logits", "x=1", b"body"), ("logits", "", b"body ")])
def test_another_endpoint_query_or_byte_is_another_call(asked: tuple[str, str, bytes]) -> None:
    memory = a_memory()
    memory.keep_call("logits", "", b"body", a_call())
    assert memory.call(*asked) is None


def test_two_bodies_with_one_fingerprint_are_never_taken_for_each_other() -> None:
    memory = a_memory()
    with patch("xxhash.xxh3_64_intdigest", return_value=7):
        memory.keep_call("logits", "", b"one", a_call(name="one"))
        assert memory.call("logits", "", b"two") is None
        memory.keep_call("logits", "", b"two", a_call(name="two"))
        assert memory.call("logits", "", b"two") == a_call(name="two")
        assert memory.call("logits", "", b"one") is None


def test_an_answer_is_given_until_its_time_is_over() -> None:
    memory = a_memory()
    memory.keep_answer("a", an_answer(), 100.0)
    assert memory.answer("a", 99.9) == an_answer()
    assert memory.answer("a", 100.0) is None
    assert memory.answer("b", 0.0) is None


def test_plans_are_kept_apart_by_all_that_decides_them() -> None:
    memory, plan = a_memory(), Plan("a", "exact", NO_WISH, 1.0, keep_first=False)
    memory.keep_plan(a_call(), "lab", 1, plan)
    assert memory.plan(a_call(), "lab", 1) is plan
    assert memory.plan(a_call(), "other", 1) is None
    assert memory.plan(a_call(), "lab", 2) is None
    assert memory.plan(a_call(), "lab", None) is None
    assert memory.plan(a_call(flagged=True), "lab", 1) is None
    assert memory.plan(a_call(name="another"), "lab", 1) is None
    memory.keep_plan(a_call(name="another"), "lab", None, plan)
    assert memory.plan(a_call(name="another"), "lab", 1) is None


def test_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    meter = MemoryMeter()
    memory = Memory(meter, 64_000, 64_000)
    for i in range(1000):
        memory.keep_answer(str(i), an_answer(b"x" * 1000), 9e9)
        memory.keep_call("logits", "", b"%d" % i * 200, a_call())
        assert memory.answer("0", 0.0) is not None
    assert meter.gauges[("esmgw_memory_bytes", "answers")] <= 64_000
    assert meter.gauges[("esmgw_memory_bytes", "calls")] <= 64_000
    assert memory.answer("999", 0.0) is not None
    assert memory.answer("500", 0.0) is None


def test_forgetting_answers_leaves_none_and_the_calls_stay() -> None:
    memory = a_memory()
    memory.keep_answer("a", an_answer(), 9e9)
    memory.keep_call("logits", "", b"body", a_call())
    memory.forget_answers()
    assert memory.answer("a", 0.0) is None
    assert memory.call("logits", "", b"body") is not None


def test_no_memory_is_a_memory_that_keeps_nothing() -> None:
    memory = a_memory(0, 0)
    memory.keep_answer("a", an_answer(), 9e9)
    memory.keep_call("logits", "", b"body", a_call())
    assert memory.answer("a", 0.0) is None
    assert memory.call("logits", "", b"body") is None
