"""Whether an answer is whole is the same question as whether it parses, and costs a fraction of it."""

import tracemalloc

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.whole_answer import whole_members

MEGABYTE = 2**20


def is_whole(body: bytes | memoryview) -> bool:
    return whole_members(body) is not None


def parses(body: bytes) -> bool:
    try:
        return isinstance(orjson.loads(body), dict)
    except orjson.JSONDecodeError:
        return False


ODD = [
    b"", b"{}", b" {} ", b"[]", b"null", b'{"a":1}x', b'{"a":1', b'{"a":NaN}', b'{"a":01}', b'{"a":1.}', b'{"a":.5}',
    b'{"a":1e}', b'{"a":-}', b'{"a":+1}', b'{"a":tru}', b'{"a":"\x01"}', b'{"a":"\xff"}', b'{"a":["\xff"]}',
    b'{"a":{"\xff":1}}', b'{"\xff":1}', b'{"a":"\\x"}', b'{"a":"\\ud800"}', b'{"a":"\\u12"}', b'{"a":[1,]}',
    b'{"a":[1 2]}', b'{"a":{"b":}}', b'{"a":{1:2}}', b'{"a":{"x":1,}}', b'{"a":1e999}', b'{"a":1E+400}',
    b'{"a":1e123}', b'{"a":"e123"}', b'{"a":"1e999"}', b'{"a":-0}', b'{"a":[[[]}', b'{"a":[1,2],"a":3}',
    b'{"a":' + b"9" * 400 + b"}", b'{"a":"' + b"9" * 400 + b'"}', b"\xef\xbb\xbf{}",
    b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_an_odd_text_is_whole_if_it_parses(body: bytes) -> None:
    assert is_whole(body) is parses(body)
    assert is_whole(memoryview(body)) is parses(body)


@pytest.mark.parametrize("at", [MEGABYTE - 400, MEGABYTE - 3, MEGABYTE - 1, MEGABYTE, MEGABYTE + 1])
@pytest.mark.parametrize("odd", [b'"\xc3\xa9"', b'"\xff"', b"1e999", b"9" * 330, b"1e30"])
def test_an_oddity_is_seen_wherever_a_slice_ends(at: int, odd: bytes) -> None:
    begin = b'{"a":['
    body = begin + b"1," * ((at - len(begin)) // 2) + b" " * (at % 2) + odd + b",1]}"
    assert is_whole(body) is parses(body)


@given(st.dictionaries(st.text(), st.recursive(st.floats(allow_nan=False) | st.text(), st.lists)), st.data())
def test_a_cut_or_a_changed_byte_is_seen_as_a_parser_sees_it(value: object, data: st.DataObject) -> None:
    body = orjson.dumps(value)
    assert is_whole(body)
    at = data.draw(st.integers(0, len(body) - 1))
    for changed in (body[:at], body[:at] + data.draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :]):
        assert is_whole(changed) is parses(changed)


@pytest.mark.parametrize("item", [b"1.25,", b"[1],", b'"a",', b'{"a":1},', b"null,"])
def test_nothing_is_made_of_the_contents(item: bytes) -> None:
    body = b'{"a":[' + item * (8 * MEGABYTE // len(item)) + b"1]}"
    tracemalloc.start()
    try:
        assert is_whole(memoryview(body))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(body)
