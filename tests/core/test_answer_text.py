"""What of an answer may pass: numbers as they are, texts where they are known, nothing twice, no code."""

import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.answer_text import TextFindings, UnsafeAnswer, open_object, written
from gateway.core.whole_answer import LARGE

# Written down again: whatever the SDK unpickles, and what stands beside it.
UNPICKLED = (
    *("logits", "embeddings", "hidden_states", "sae_outputs"),
    *("mean_embedding", "mean_embeddings", "mean_hidden_state", "mean_hidden_states"),
    *("output_embedding_sequence", "output_embedding_pair_pooled"),
)
KINDS: Any = {
    "numbers": "numbers",
    "texts": "texts",
    "inner": {"texts": "texts", "numbers": "numbers"},
    "warning_messages": "warnings",
}


def passed(raw: bytes) -> tuple[Any, dict[str, int], bool]:
    """What is left, what was taken out, and whether numbers were texts."""
    found = TextFindings()
    anew = written(open_object(raw, KINDS, found))
    return orjson.loads(anew), found.repairs, found.has_text


@pytest.mark.parametrize("name", UNPICKLED)
@pytest.mark.parametrize(
    "value", [b'"x"', b'["x"]', b'[[[1.5,"x"]]]', b'{"a":"x"}', b'{"a":{"b":[1,{"c":"x"}]}}', b'""']
)
def test_a_text_in_a_tensor_is_unsafe_at_any_depth(name: str, value: bytes) -> None:
    for raw in (b'{"%s":%s}', b'{"inner":{"%s":%s}}', b'{"numbers":[1],"%s" : %s ,"texts":"y"}'):
        with pytest.raises(UnsafeAnswer):
            open_object(raw % (name.encode(), value), KINDS, TextFindings())


@pytest.mark.parametrize("name", UNPICKLED)
@pytest.mark.parametrize("value", [b"null", b"[[1.5,-2e5]]", b'{"sequence":[1,2],"sae":{"a":[1]}}', b"[]", b"true"])
def test_a_tensor_of_numbers_passes_to_the_byte(name: str, value: bytes) -> None:
    raw = b'{"%s":%s}' % (name.encode(), value)
    found = TextFindings()
    assert written(open_object(raw, KINDS, found)) == raw
    assert found == TextFindings()


@pytest.mark.parametrize(
    ("raw", "left", "repairs"),
    [
        (b'{"new":"x"}', {}, {"strings": 1}),
        (b'{"new":{"a":"x","b":1}}', {"new": {"b": 1}}, {"strings": 1}),
        (b'{"new":[["x",2],"y"]}', {"new": [[2]]}, {"strings": 2}),
        (b'{"new":{"a":1,"b":[2]}}', {"new": {"a": 1, "b": [2]}}, {}),
        (b'{"inner":{"new":"x","texts":"y"}}', {"inner": {"texts": "y"}}, {"strings": 1}),
        (b'{"a\\u001bb":1}', {}, {"strings": 1}),
        (b'{"new":"x","new":1}', {"new": 1}, {"repeated": 1}),
        (b'{"new":1,"new":"x"}', {}, {"strings": 1, "repeated": 1}),
        (b'{"texts":{"a":"x","a":"y"}}', {"texts": {"a": "y"}}, {"repeated": 1}),
        (b'{"new":{"a":1,"a":2}}', {"new": {"a": 2}}, {"repeated": 1}),
        (b'{"texts":"a\\u001bb"}', {"texts": "ab"}, {"controls": 1}),
        (b'{"texts":["a\\nb",["\\u009b"]]}', {"texts": ["a b", [""]]}, {"controls": 2}),
        (b'{"texts":"a \\"word\\""}', {"texts": 'a "word"'}, {}),
        (b'{"texts":"a\x7fb"}', {"texts": "ab"}, {"controls": 1}),
        (b'{"a\\"b":1}', {'a"b': 1}, {}),
        (b'{"texts":{"a":"x","a":"\\u0022\\u0022\\u0022\\u0022"}}', {"texts": {"a": '""""'}}, {}),
        (b'{"warning_messages":["a",5]}', {"warning_messages": ["a"]}, {"strings": 1}),
        (b'{"warning_messages":5}', {}, {"strings": 1}),
        (b'{"warning_messages":null}', {"warning_messages": None}, {}),
    ],
)
def test_what_nobody_knows_passes_without_its_texts(raw: bytes, left: Any, repairs: dict[str, int]) -> None:
    assert passed(raw) == (left, repairs, False)


@pytest.mark.parametrize("value", [b'"x"', b'[1,"x"]', b'{"a":1}'])
def test_a_text_among_numbers_is_odd_and_passes(value: bytes) -> None:
    assert passed(b'{"numbers":%s}' % value) == ({"numbers": orjson.loads(value)}, {}, True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1e9, 1e9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "texts", "logits", "inner", "numbers", "\x1b"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*KINDS, "new", "logits", "\x07", "é"]), json_values, max_size=6))
def test_whatever_passes_is_a_subset_of_what_came_and_passes_again_as_it_is(tree: dict[str, Any]) -> None:
    raw, found = orjson.dumps(tree), TextFindings()
    try:
        anew = written(open_object(raw, KINDS, found))
    except UnsafeAnswer:
        return
    assert set(orjson.loads(anew)) <= set(tree)
    assert not found.repairs or orjson.loads(anew) != tree or "repeated" in found.repairs
    assert found.rewritten or orjson.loads(anew) == tree
    again = TextFindings()
    assert written(open_object(anew, KINDS, again)) == anew
    assert (again.repairs, again.rewritten) == ({}, False)


@pytest.mark.parametrize("item", [b"1.25,", b"[1],", b"null,"])
def test_numbers_are_not_copied_let_alone_made_into_objects(item: bytes) -> None:
    raw = b'{"logits":{"sequence":[' + item * (16 * LARGE // len(item)) + b'1]},"new":[' + item * 1000 + b"1]}"
    tracemalloc.start()
    try:
        open_object(raw, {}, TextFindings())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * LARGE
