"""Parts of an answer are measured in their text as they would be when parsed."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import answer_parts
from gateway.core.answer_parts import Extent
from gateway.core.whole_answer import LARGE


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.booleans())
def test_the_extent_of_an_array_is_that_of_its_last_axis(shape: list[int], spaced: bool) -> None:
    text = orjson.dumps(np.zeros(shape) - 1.5, option=orjson.OPT_SERIALIZE_NUMPY)
    text = text.replace(b",", b" ,\n").replace(b"[", b"[ ") if spaced else text
    expected = Extent(int(np.prod(shape[:-1], dtype=int)), shape[-1])
    assert answer_parts.extent(text) == answer_parts.extent(memoryview(text)) == expected


@pytest.mark.parametrize(
    "part",
    [
        None,
        {},
        b"null",
        b"[]",
        b"[[]]",
        b"[[1],[]]",
        b'["1"]',
        b"[null]",
        b"[[1,2],[3]]",
        b"5",
        b"[true]",
        b'[{"a":1}]',
    ],
)
def test_what_is_no_even_array_of_numbers_has_no_extent(part: Any) -> None:
    assert answer_parts.extent(part) is None


@pytest.mark.parametrize("width", [1, 3, 4, 7])
def test_an_array_larger_than_a_piece_is_measured_across_the_pieces(width: int) -> None:
    row = b"[" + b",".join([b"1"] * width) + b"]"
    count = 2 * LARGE // len(row)
    text = b"[" + b",".join([row] * count) + b"]"
    assert answer_parts.extent(text) == Extent(count, width)


@pytest.mark.parametrize("part", [None, {}, b"null", b"[]", b"{}", b'""', b"[ ]"])
def test_nothing_is_missing(part: Any) -> None:
    assert answer_parts.is_missing(part)


@pytest.mark.parametrize("part", [{"a": b"1"}, b"0", b"false", b"[0]", b'"x"', b"[[]]"])
def test_something_is_not_missing(part: Any) -> None:
    assert not answer_parts.is_missing(part)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        (b"[1,2]", [1, 2]),
        (b"[1.0,2]", [1, 2]),
        (b"[]", []),
        (b"[1,2.5]", None),
        (b'["1"]', None),
        (b"[null]", None),
        (b"{}", None),
        (None, None),
    ],
)
def test_ids_are_whole_numbers(part: Any, found: Any) -> None:
    assert answer_parts.ids(part) == found


@pytest.mark.parametrize(
    ("part", "found"),
    [
        (b"[[1],[2,3]]", [[1], [2, 3]]),
        (b"[[1.0],[2]]", [[1], [2]]),
        (b"[[1.5]]", None),
        (b"[1]", None),
        (b"null", None),
    ],
)
def test_rows_are_lists_of_ids(part: bytes, found: Any) -> None:
    assert answer_parts.rows(part) == found
