"""Process memory: a repeat costs little, never gets another's answer, and the memory stays bounded."""

from dataclasses import replace
from unittest.mock import patch

import pytest

from gateway.core.cache_directives import NO_DIRECTIVES
from gateway.core.cache_plan import CachePlan
from gateway.core.types import Answer, Call
from gateway.flow.local_cache import MAX_FORGOTTEN, MAX_SPELLINGS, LocalCache
from tests.fakes.world import FakeMeter
from tests.flow.harness import a_call, an_answer


def a_memory(calls: int = 2**20, answers: int = 2**20) -> LocalCache:
    return LocalCache(FakeMeter(), calls, answers)


def test_exactly_the_same_bytes_are_the_same_call() -> None:
    memory, call = a_memory(), a_call()
    memory.put_call("logits", "", b"body", call)
    assert memory.call("logits", "", b"body") is call


@pytest.mark.parametrize("asked", [("encode", "", b"body"), ("logits", "x=1", b"body"), ("logits", "", b"body ")])
def test_another_endpoint_query_or_byte_is_another_call(asked: tuple[str, str, bytes]) -> None:
    memory = a_memory()
    memory.put_call("logits", "", b"body", a_call())
    assert memory.call(*asked) is None


def test_two_bodies_with_one_fingerprint_are_never_taken_for_each_other() -> None:
    memory = a_memory()
    with patch("xxhash.xxh3_64_intdigest", return_value=7):
        memory.put_call("logits", "", b"one", a_call(name="one"))
        assert memory.call("logits", "", b"two") is None
        memory.put_call("logits", "", b"two", a_call(name="two"))
        assert memory.call("logits", "", b"two") == a_call(name="two")
        assert memory.call("logits", "", b"one") is None


def test_an_answer_is_given_for_its_call_with_the_end_of_its_time() -> None:
    memory = a_memory()
    memory.put_answer("a", a_call(), an_answer(), 100.0, 0)
    assert memory.answer("a", a_call()) == (an_answer(), 100.0)
    assert memory.answer("b", a_call()) is None


def test_two_spellings_that_share_an_address_each_have_their_own_answer() -> None:
    memory, one, other = a_memory(), a_call(name="one"), a_call(name="other")
    memory.put_answer("a", one, an_answer(b"1"), 100.0, 0)
    assert memory.answer("a", other) is None
    memory.put_answer("a", other, an_answer(b"2"), 100.0, 0)
    assert [memory.answer("a", call) for call in (one, other)] == [
        (an_answer(b"1"), 100.0),
        (an_answer(b"2"), 100.0),
    ]


def test_plans_are_kept_apart_by_all_that_decides_them() -> None:
    memory, plan = a_memory(), CachePlan("a", "exact", NO_DIRECTIVES, 1.0, first_write_wins=False)
    memory.put_plan(a_call(), "lab", plan)
    assert memory.plan(a_call(), "lab") is plan
    assert memory.plan(a_call(), "other") is None
    assert memory.plan(a_call(), None) is None
    assert memory.plan(a_call(flagged=True), "lab") is None
    assert memory.plan(a_call(name="another"), "lab") is None
    assert memory.plan(replace(a_call(), endpoint="encode"), "lab") is None
    assert memory.plan(replace(a_call(), model="other"), "lab") is None
    memory.put_plan(a_call(), None, plan)
    assert memory.plan(a_call(), None) is plan


def test_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    meter = FakeMeter()
    memory = LocalCache(meter, 64_000, 64_000)
    for i in range(1000):
        memory.put_answer(str(i), a_call(), an_answer(b"x" * 1000), 9e9, 0)
        memory.put_call("logits", "", b"%d" % i * 200, a_call())
        assert memory.answer("0", a_call()) is not None
    assert meter.gauges[("esmgw_local_cache_bytes", "answers")] <= 64_000
    assert meter.gauges[("esmgw_local_cache_bytes", "calls")] <= 64_000
    assert memory.answer("999", a_call()) is not None
    assert memory.answer("500", a_call()) is None


def test_both_forms_of_an_answer_count() -> None:
    meter = FakeMeter()
    memory = LocalCache(meter, 0, 64_000)
    memory.put_answer("a", a_call(), replace(an_answer(b"x" * 1000), compressed=b"y" * 500), 9e9, 0)
    assert meter.gauges[("esmgw_local_cache_bytes", "answers")] >= 1500


def test_a_call_counts_with_its_body_its_target_and_its_query() -> None:
    sizes = []
    for call, raw, query in [
        (a_call(), b"body", ""),
        (replace(a_call(), body=b"b" * 1000), b"body", ""),
        (replace(a_call(), target="t" * 1000), b"body", ""),
        (a_call(), b"r" * 1004, ""),
        (a_call(), b"body", "q" * 1000),
    ]:
        memory = a_memory()
        memory.put_call("logits", query, raw, call)
        sizes.append(memory.sizes()["calls"])
    assert sizes[0] > 500
    assert all(size >= sizes[0] + 900 for size in sizes[1:])


def test_forgetting_leaves_no_answer_and_no_plan() -> None:
    memory, plan = a_memory(), CachePlan("a", "exact", NO_DIRECTIVES, 1.0, first_write_wins=False)
    memory.put_answer("a", a_call(), an_answer(), 9e9, 0)
    memory.put_call("logits", "", b"body", a_call())
    memory.put_plan(a_call(), None, plan)
    memory.clear()
    assert memory.answer("a", a_call()) is None
    assert memory.plan(a_call(), None) is None
    assert memory.call("logits", "", b"body") is not None  # what bytes mean stays true


def test_no_memory_is_a_memory_that_keeps_nothing() -> None:
    memory = a_memory(0, 0)
    memory.put_answer("a", a_call(), an_answer(), 9e9, 0)
    memory.put_call("logits", "", b"body", a_call())
    assert memory.answer("a", a_call()) is None
    assert memory.call("logits", "", b"body") is None


def spelled(number: int) -> tuple[Call, Answer]:
    return a_call(name=str(number)), an_answer(b"%d" % number)


def test_what_changed_is_forgotten_in_every_spelling_and_nothing_else_is() -> None:
    memory = a_memory()
    for number in range(3):
        memory.put_answer("a", *spelled(number), 9e9, 0)
        memory.put_answer("b", *spelled(number), 9e9, 0)
    memory.forget("a")
    assert [memory.answer("a", spelled(number)[0]) for number in range(3)] == [None] * 3
    assert all(memory.answer("b", spelled(number)[0]) for number in range(3))
    assert memory.sizes()["answers"] < 3 * 2000 + 1000


@pytest.mark.parametrize("forget", ["forget", "clear"])
def test_an_answer_that_was_fetched_before_its_entry_changed_is_not_remembered(forget: str) -> None:
    memory = a_memory()
    since = memory.moment()
    memory.forget("a") if forget == "forget" else memory.clear()
    memory.put_answer("a", a_call(), an_answer(), 9e9, since)
    assert memory.answer("a", a_call()) is None
    memory.put_answer("b", a_call(), an_answer(), 9e9, since)
    assert (memory.answer("b", a_call()) is not None) == (forget == "forget")
    memory.put_answer("a", a_call(), an_answer(), 9e9, memory.moment())
    assert memory.answer("a", a_call()) is not None


def test_what_was_forgotten_too_long_ago_to_be_known_counts_as_forgotten() -> None:
    memory = a_memory()
    since = memory.moment()
    for number in range(MAX_FORGOTTEN + 1):
        memory.forget(f"other {number}")
    memory.put_answer("a", a_call(), an_answer(), 9e9, since)
    assert memory.answer("a", a_call()) is None
    memory.put_answer("a", a_call(), an_answer(), 9e9, since + 1)
    assert memory.answer("a", a_call()) is not None


def test_the_spellings_of_one_call_are_bounded_and_the_latest_stay() -> None:
    memory = a_memory()
    for number in range(MAX_SPELLINGS + 2):
        memory.put_answer("a", *spelled(number), 9e9, 0)
    known = [number for number in range(MAX_SPELLINGS + 2) if memory.answer("a", spelled(number)[0])]
    assert known == list(range(2, MAX_SPELLINGS + 2))
