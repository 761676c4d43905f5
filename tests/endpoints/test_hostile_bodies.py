"""What a body costs its reader is bounded by its size, whatever is in it: 4 MiB of faults took 3 s and 280 MiB."""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import pytest
from pydantic_core import ValidationError

from gateway import endpoints
from gateway.core import body_bounds, strict_json
from gateway.core.endpoint import ParseConfig
from gateway.core.problems import BODY_UNREADABLE, CALL_INVALID, Problem
from tests.endpoints.hostile import MADE_OF, Body, coordinates, letters, tensor

RULES = ParseConfig({"m": 1.0})
LARGE = 2**20
KINDS = sorted(MADE_OF)


def refused(body: Body, rules: ParseConfig = RULES) -> Problem:
    endpoint = endpoints.find(f"/api/v1/{body[0]}")
    assert endpoint is not None
    with pytest.raises(Problem) as caught:
        endpoint.parse(body[1], "", rules)
    assert caught.value.type in (BODY_UNREADABLE, CALL_INVALID)
    return caught.value


@contextmanager
def counted_steps() -> Iterator[list[int]]:
    """How many calls of Python functions are made: the measure of work that no other process changes."""
    steps = [0]

    def count(frame: FrameType, event: str, arg: Any) -> None:
        steps[0] += event == "call"

    sys.setprofile(count)
    try:
        yield steps
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_hostile_body_is_refused_in_few_words(kind: str) -> None:
    problem = refused(MADE_OF[kind](LARGE))
    assert problem.detail or problem.errors
    assert len(problem.errors) <= strict_json.MAX_ERRORS + 1


@pytest.mark.parametrize("kind", KINDS)
def test_reading_a_hostile_body_takes_memory_in_proportion(kind: str) -> None:
    body = MADE_OF[kind](LARGE)
    tracemalloc.start()
    try:
        refused(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * len(body[1])


@pytest.mark.parametrize("kind", KINDS)
def test_reading_a_hostile_body_takes_steps_in_proportion(kind: str) -> None:
    """At most a call of a Python function for every two bytes; three for each fault were fifty."""
    body = MADE_OF[kind](LARGE)
    with counted_steps() as steps:
        refused(body)
    assert steps[0] < len(body[1]) / 2


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_large_body_few_faults_are_made_into_words(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def count(error: ValidationError, tree: Any) -> list[Any]:
        made.append(error.error_count())
        return []

    monkeypatch.setattr("gateway.core.endpoint.field_errors", count)
    refused(MADE_OF[kind](LARGE))
    assert sum(made) <= 2 * body_bounds.MAX_MEMBERS


def test_a_small_body_has_all_its_faults_named_and_a_large_one_the_first() -> None:
    few = refused(tensor(b'"sequence":[99,5,98,97]'))
    assert [error.pointer for error in few.errors] == [f"/inputs/sequence/{i}" for i in (0, 2, 3)]
    many = refused(tensor(b'"sequence":[99,5,98,97],"structure":[-5,5,-6],"coordinates":' + coordinates(100_000)))
    assert [error.pointer for error in many.errors] == ["/inputs/sequence/0", "/inputs/structure/0"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (tensor(b'"sequence":[%b]' % b",".join([b"5"] * 40_000)), "/inputs/sequence"),
        (tensor(b'"function":[[1],[%b]]' % b",".join([b"5"] * 40_000)), "/inputs/function/1"),
        (tensor(more=b',"invalid_ids":[%b]' % b",".join([b"5"] * 40_000)), "/invalid_ids"),
        (tensor(more=b"," + b",".join(b'"a%d":1' % i for i in range(200))), ""),
        (letters(b'"sasa":[%b]' % b",".join([b"5"] * 40_000)), "/inputs/sasa"),
    ],
)
def test_what_is_too_long_is_named_before_its_items_are_looked_at(body: Body, where: str) -> None:
    problem = refused(body, ParseConfig({"m": 1.0}, max_tokens=1000))
    assert [error.pointer for error in problem.errors] == [where]
    assert "has " in problem.errors[0].detail


def test_the_bounds_grow_with_what_a_protein_may_have() -> None:
    """The largest protein, with everything that a body can say of it, is within them."""
    n = 2048
    rows = {
        "sequence": [0, *[32] * (n - 2), 2],
        "function": [[1] * 8] * n,
        "residue_annotation": [[1] * 16] * n,
    }
    inputs = b",".join(b'"%b":%b' % (name.encode(), str(rows[name]).encode()) for name in rows)
    atoms = b"[%b]" % b",".join([b"[%b]" % b",".join([b"[1.5,-2.25,null]"] * 37)] * n)
    name, raw = tensor(inputs + b',"coordinates":' + atoms)
    endpoint = endpoints.find(f"/api/v1/{name}")
    assert endpoint is not None
    assert endpoint.parse(raw, "", ParseConfig({"m": 1.0}, max_tokens=n)).length == n
    with pytest.raises(Problem):
        endpoint.parse(raw, "", ParseConfig({"m": 1.0}, max_tokens=n - 1))


Reads = Callable[[bytes], Any]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":' + b"9" * 308 + b"}", {"a": int("9" * 308)}),
        (b'{"a":-' + b"1" * 309 + b"}", {"a": -int("1" * 309)}),
        (b'{"a":"' + b"7" * 400 + b'","b":5.0}', {"a": "7" * 400, "b": 5}),
    ],
)
def test_the_slow_reader_takes_what_float64_can_hold(raw: bytes, value: Any) -> None:
    assert strict_json.read_slow(raw) == value


@pytest.mark.parametrize("digits", [b"9" * 309, b"1" + b"0" * 310, b"9" * 5000, b"[1,-" + b"8" * 400 + b"]"])
def test_the_slow_reader_refuses_longer_numbers(digits: bytes) -> None:
    with pytest.raises(Problem) as caught:
        strict_json.read_slow(b'{"a":' + digits + b"}")
    assert caught.value.detail == "A number in the body is too large."


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1500, 2500, 31_000, 40_000])
def test_what_is_read_at_once_is_little_work(kind: str, size: int) -> None:
    name, raw = MADE_OF[kind](size)
    endpoint = endpoints.find(f"/api/v1/{name}")
    assert endpoint is not None
    with counted_steps() as steps, suppress(Problem):
        endpoint.parse_at_once(raw, "", RULES)
    assert steps[0] < 12_000
