"""One meaning or a refusal: what the strict reader takes, what it refuses, and that both of its speeds agree."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import strict_json
from gateway.core.problems import BODY_UNREADABLE, Problem
from gateway.core.strict_json import pointer, read_fast, read_slow

WIRE = Path(__file__).parent.parent / "wire"
DETERMINED = settings(max_examples=300, derandomize=True, deadline=None, database=None)

numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | st.text(max_size=8)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)


def refused(raw: bytes) -> Problem:
    assert read_fast(raw) is None
    with pytest.raises(Problem) as caught:
        read_slow(raw)
    assert caught.value.type is BODY_UNREADABLE
    return caught.value


def pointers(problem: Problem) -> list[str]:
    return [error.pointer for error in problem.errors]


def whole(tree: Any) -> Any:
    """The tree as a person means it: 5.0 is 5."""
    if isinstance(tree, float) and tree.is_integer() and abs(tree) < 2**53:
        return int(tree)
    if isinstance(tree, list):
        return [whole(item) for item in tree]
    return {name: whole(item) for name, item in tree.items()} if isinstance(tree, dict) else tree


def spelled(tree: Any, draw: st.DataObject) -> str:
    """JSON text of the tree in which objects may repeat a name, with the same or with another spelling."""
    if isinstance(tree, list):
        return "[" + ",".join(spelled(item, draw) for item in tree) + "]"
    if not isinstance(tree, dict):
        return json.dumps(tree)
    members = [json.dumps(name) + ":" + spelled(item, draw) for name, item in tree.items()]
    if tree and draw.draw(st.integers(0, 3)) == 0:
        name = draw.draw(st.sampled_from(sorted(tree)))
        members.append(json.dumps(name) + ":" + draw.draw(st.sampled_from(["0", '"x"', "[[1]]"])))
    return "{" + ",".join(members) + "}"


@DETERMINED
@given(trees, st.booleans(), st.sampled_from([None, 1]))
def test_both_readers_agree_wherever_the_fast_one_answers(tree: Any, ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps(tree, ensure_ascii=ascii_only, indent=indent).encode()
    slow = read_slow(raw)
    fast = read_fast(raw)
    assert slow == whole(tree)
    assert fast is None or whole(fast) == slow


@pytest.mark.parametrize("case", sorted(WIRE.glob("3*_*.json")), ids=lambda path: path.stem)
def test_every_body_of_the_sdk_takes_the_fast_way(case: Path) -> None:
    for exchange in json.loads(case.read_text())["exchanges"]:
        raw = json.dumps(exchange["request"]["body"]).encode()
        assert whole(read_fast(raw)) == read_slow(raw)


def has_repeats(raw: bytes) -> bool:
    """The same question, asked of Python's own parser."""
    objects: list[list[str]] = []
    json.loads(raw, object_pairs_hook=lambda pairs: objects.append([name for name, _ in pairs]))
    return any(len(set(names)) < len(names) for names in objects)


@DETERMINED
@given(trees, st.data())
def test_the_fast_reader_never_takes_a_text_in_which_a_name_is_repeated(tree: Any, draw: st.DataObject) -> None:
    raw = spelled(tree, draw).encode()
    fast = read_fast(raw)
    if has_repeats(raw):
        assert fast is None
        assert pointers(refused(raw))
    else:
        assert fast is None or whole(fast) == read_slow(raw)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a":1,"a":1}', ["/a"]),
        ('{"a":1,"\\u0061":2}', ["/a"]),
        ('{"x":{"y":[0,{"b":"","b":null}]}}', ["/x/y/1/b"]),
        ('[[{"b":1,"c":2,"b":3,"c":4,"b":5}]]', ["/0/0/b", "/0/0/c"]),
        ('{"a":{"k":1,"k":2},"a":{"m":1,"m":2}}', ["/a", "/a/m"]),
        ('{"coordinates":[[[1.0,2.0,{"k":1,"k":2}]]]}', ["/coordinates/0/0/2/k"]),
    ],
)
def test_a_repeated_name_is_refused_at_any_depth_and_in_any_spelling(text: str, where: list[str]) -> None:
    assert pointers(refused(text.encode())) == where


def test_a_thousand_repeated_names_are_named_up_to_the_limit() -> None:
    members = ",".join(f'"n{i}":0,"n{i}":0' for i in range(1000))
    assert len(refused(f"{{{members}}}".encode()).errors) == strict_json.MAX_ERRORS


@pytest.mark.parametrize("text", ['[1,"a"]', '[[0.5],["a"]]', '[null,{"a":1}]', '{"n":[1,{"a":1,"b":2}]}'])
def test_text_hidden_behind_a_number_in_an_array_is_left_to_the_slow_reader(text: str) -> None:
    assert read_fast(text.encode()) is None
    assert read_slow(text.encode()) == json.loads(text)


def test_an_escape_is_left_to_the_slow_reader() -> None:
    assert read_fast(b'{"a":"\\n"}') is None
    assert read_slow(b'{"a":"\\n"}') == {"a": "\n"}


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_a_number_is_refused_with_what_to_write_instead(word: str) -> None:
    assert "write null" in refused(f'{{"x":[1,{word}]}}'.encode()).detail


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "1" + "0" * 400, "-1" + "0" * 400, "7" * 5000, "1" + "0" * 400 + ".5"]
)
def test_a_number_beyond_float64_is_refused(number: str) -> None:
    assert refused(f'{{"x":{number}}}'.encode()).detail == "A number in the body is too large."


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('[1,{"b":', "}]")])
@pytest.mark.parametrize("depth", [100, 400, 480, 900, 1000, 1023, 1025, 3000, 100_000])
def test_any_depth_of_nesting_is_read_or_refused(opening: str, closing: str, depth: int) -> None:
    raw = (opening * depth + "1" + closing * depth).encode()
    fast = read_fast(raw)
    try:
        slow = read_slow(raw)
    except Problem as problem:
        slow = problem.detail
    assert type(slow) in (list, dict) or (depth > 200 and slow == "The body is nested too deeply.")
    assert type(fast) in (list, dict, type(None))


def test_a_repeated_name_in_a_deep_place_is_found_or_the_depth_is_refused() -> None:
    for depth in (100, 450, 950, 990):
        refused(b'{"a":' * depth + b'{"k":1,"k":2}' + b"}" * depth)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b"{} {}",
        b"{}x",
        b"{}\x00",
        b"{,}",
        b'{"a":1,}',
        b"[1,]",
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":0x1}',
        b'{"a":1}//',
        b'{"a":"\n"}',
        b"nul",
    ],
)
def test_what_is_not_one_json_value_in_utf8_is_refused(raw: bytes) -> None:
    assert refused(raw).errors == ()


def test_a_refusal_says_where_the_text_breaks_and_repeats_nothing_of_it() -> None:
    problem = refused(b'{"sequence": "MKTAYIAK",\n oops}')
    assert problem.detail == "Not well-formed JSON at line 2, column 2."
    assert "MKTAYIAK" not in str(problem.document("r"))


def test_whole_floats_are_whole_numbers() -> None:
    tree = read_slow(b'{"a":5.0,"b":[-0.0,1e2,2.5],"c":9007199254740993.0}')
    assert [type(item) for item in (tree["a"], *tree["b"], tree["c"])] == [int, int, int, float, float]
    assert tree == {"a": 5, "b": [0, 100, 2.5], "c": 9007199254740992.0}


@pytest.mark.parametrize(
    "name, shown",
    [
        ("num_steps", "/num_steps"),
        ("x-y", "/x-y"),
        (7, "/7"),
        ("", "/?"),
        ("a/b", "/?"),
        ("a~b", "/?"),
        ("a b", "/?"),
        ("é", "/?"),
        ("<script>", "/?"),
        ("\ud800", "/?"),
        ("n" * 40, "/" + "n" * 40),
        ("n" * 41, "/?"),
    ],
)
def test_a_pointer_repeats_plain_names_only(name: str | int, shown: str) -> None:
    assert pointer([name]) == shown
    assert pointer(["inputs", name, 3]) == f"/inputs{shown}/3"


def test_a_repeated_name_that_might_be_anything_is_not_repeated_to_the_caller() -> None:
    assert pointers(refused(b'{"a b":1,"a b":2}')) == ["/?"]
