"""Sentences in answers: one member more, every other byte as it was; and who is told what."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cache_directives import NO_DIRECTIVES, CacheDirectives
from gateway.core.cache_plan import CachePlan
from gateway.core.determinism import classify
from gateway.core.metrics import WARNINGS
from gateway.core.types import Call, Determinism, DeterminismClass
from gateway.core.warning_messages import TOPICS, warning_text, warning_topic, with_warning, with_warning_at_end

SAID = 'esm-gateway: "quoted", \\ and ü'
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
names = st.text().filter(lambda name: name not in ("outputs", "data", "warning_messages"))
members = st.lists(st.tuples(names, values), max_size=4, unique_by=lambda row: row[0])
spaces = st.sampled_from(["", " ", "\n  ", "\t"])


def written(rows: list[tuple[str, str]], gaps: list[str]) -> str:
    """An object with these members in this order, spelled with odd spaces."""
    one, two, three, four = gaps
    inner = f"{one},{two}".join(f"{orjson.dumps(name).decode()}{three}:{four}{text}" for name, text in rows)
    return f"{{{one}{inner}{two}}}"


def text_of(value: Any) -> str:
    return orjson.dumps(value).decode()


@given(before=members, after=members, gaps=st.lists(spaces, min_size=4, max_size=4), wrapped=st.booleans())
def test_all_other_members_stay_byte_for_byte(
    before: list[Any], after: list[Any], gaps: list[str], wrapped: bool
) -> None:
    after = [row for row in after if row[0] not in dict(before)]
    # Numbers in spellings that no writer of ours would choose: re-writing the tree would change them.
    rows = [(name, text_of(value)) for name, value in before]
    rows += [("outputs", '{"sequence":[0,1.50,1e2],"coordinates":null}')]
    rows += [(name, text_of(value)) for name, value in after]
    answer = written(rows, gaps)
    body = written([("status", '"{"'), ("data", answer)], gaps) if wrapped else answer
    told = with_warning(body.encode() + b"\n", SAID)
    assert told is not None
    member = b',"warning_messages":[' + orjson.dumps(SAID) + b"]"
    assert told.count(member) == 1
    assert told.replace(member, b"") == body.encode() + b"\n"
    tree = orjson.loads(told)
    assert (tree["data"] if wrapped else tree)["warning_messages"] == [SAID]


@given(
    texts=st.none() | st.lists(st.text(), max_size=3),
    after=members,
    gaps=st.lists(spaces, min_size=4, max_size=4),
    wrapped=st.booleans(),
)
def test_what_the_upstream_itself_warned_of_comes_first(
    texts: list[str] | None, after: list[Any], gaps: list[str], wrapped: bool
) -> None:
    rows = [("outputs", '{"sequence":[1.0]}'), ("warning_messages", text_of(texts))]
    rows += [(name, text_of(value)) for name, value in after]
    answer = written(rows, gaps)
    body = written([("data", answer), ("more", "[{}]")], gaps) if wrapped else answer
    told = with_warning(body.encode(), SAID)
    assert told is not None
    tree = orjson.loads(told)
    assert (tree["data"] if wrapped else tree)["warning_messages"] == [*(texts or []), SAID]
    if texts is None:
        assert told.replace(b"[" + orjson.dumps(SAID) + b"]", b"null") == body.encode()
    else:
        more = (b"," if texts else b"") + orjson.dumps(SAID)
        assert any(
            told[:at] + told[at + len(more) :] == body.encode() for at in range(len(told)) if told[at:][:1] == more[:1]
        )


@pytest.mark.parametrize("spelled", ['"warning_messages"', '"\\u0077arning_messages"', '"warning\\u005fmessages"'])
def test_a_member_is_found_however_its_name_is_spelled_and_only_at_its_place(spelled: str) -> None:
    body = (
        '{"outputs":{"warning_messages":"no"},"text":"\\"warning_messages\\":[","x":[{"warning_messages":1}],%s:["a"]}'
    )
    told = with_warning((body % spelled).encode(), SAID)
    assert told is not None
    tree = orjson.loads(told)
    assert (tree["warning_messages"], tree["outputs"]) == (["a", SAID], {"warning_messages": "no"})
    assert told.count(b"arning") == 4


def test_of_a_repeated_member_the_last_counts_as_it_does_for_the_sdk() -> None:
    told = with_warning(b'{"warning_messages":["x"],"outputs":{},"warning_messages":["y"]}', SAID)
    assert told is not None
    assert orjson.loads(told)["warning_messages"] == ["y", SAID]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"outputs":null}',
        b'{"outputs":{}',
        b'{"data":[]}',
        b'{"data":{}}',
        b'{"outputs":{},"warning_messages":"one"}',
        b'{"outputs":{},"warning_messages":{}}',
        b'{"outputs":1,"data":{"outputs":{}}}',
    ],
)
def test_what_is_no_answer_with_outputs_is_left_alone(body: bytes) -> None:
    assert with_warning(body, SAID) is None


LARGE = b'{"outputs":{"sequence":[' + b"1.25," * 300_000 + b"2]}}"


@pytest.mark.parametrize("spaces", [b"", b"\n", b" \r\n\t"])
def test_a_large_answer_gets_a_text_at_its_end_and_stays_what_it_was(spaces: bytes) -> None:
    told = with_warning_at_end(LARGE + spaces, SAID)
    assert told is not None
    tree = orjson.loads(told)
    assert tree.pop("warning_messages") == [SAID]
    assert tree == orjson.loads(LARGE)
    assert told.startswith(LARGE[:-1])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" + LARGE + b"]",
        LARGE[:-1] + b',"warning_messages":["theirs"]}',
        b'{"warning_messages":null,' + LARGE[1:],
        b'{"\\u0077arning_messages":["theirs"],' + LARGE[1:],
        b'{"a":[' + b"1," * (2**19 // 2 - 10) + b'1],"warning_messages":["theirs"],' + LARGE[1:],
        LARGE[:-2],
    ],
    ids=range(8),
)
def test_what_may_hold_texts_already_or_is_no_object_is_left_alone_at_any_size(body: bytes) -> None:
    assert with_warning_at_end(body, SAID) is None


def a_call(determinism: Determinism, endpoint: str = "generate_tensor") -> Call:
    return Call(endpoint, f"/api/v1/{endpoint}", "esm3", False, b"{}", b"c" * 32, 10, 5, determinism)


def a_plan(
    namespace: str | None = None, *, frozen: bool = False, directives: CacheDirectives = NO_DIRECTIVES
) -> CachePlan:
    return CachePlan("a" * 64, "pinned", directives, 60.0, True, namespace=namespace, frozen=frozen)


ORDER = classify("sequence", 0.0, True, "random", 4)
ANNEALED = classify("sequence", 0.0, True, "entropy", 4)
EXACT = classify("sequence", 0.0, False, "entropy", 4)
DRAWN = classify("sequence", 0.7, False, "entropy", 4)


def test_temperature_0_that_does_not_reproduce_is_told_with_its_remedy() -> None:
    call, plan = (
        a_call(Determinism(DeterminismClass.PINNED, "the order is drawn", 'set "strategy": "entropy"')),
        a_plan(),
    )
    assert [warning_topic(plan, call, from_cache=kept) for kept in (True, False)] == ["pinned", "pinned"]
    assert warning_text("pinned", plan, call) == (
        "esm-gateway: temperature 0 does not make this call reproducible (the order is drawn): "
        'set "strategy": "entropy".'
    )
    assert 'set "strategy": "entropy"' in warning_text("pinned", plan, a_call(ORDER))
    assert "annealing at temperature 0" in warning_text("pinned", plan, a_call(ANNEALED))


@pytest.mark.parametrize("kept", [True, False])
def test_there_is_nothing_to_say_of_what_reproduces_or_was_meant_to_differ(kept: bool) -> None:
    assert warning_topic(a_plan(), a_call(EXACT), from_cache=kept) is None
    assert warning_topic(a_plan(), a_call(DRAWN), from_cache=kept) is None
    assert warning_topic(a_plan(), a_call(ORDER, "generate"), from_cache=kept) is None


def test_a_live_namespace_says_that_it_keeps_what_was_meant_to_differ() -> None:
    plan = a_plan("paper-2026")
    assert warning_topic(plan, a_call(DRAWN), from_cache=True) == "recorded"
    said = warning_text("recorded", plan, a_call(DRAWN))
    assert "first answer" in said
    assert said.endswith("Cache-Control: namespace=paper-2026, sample=2 asks for another one.")


def test_a_namespace_says_nothing_where_the_answer_is_new_or_asked_for_or_would_be_the_same() -> None:
    assert warning_topic(a_plan("paper-2026"), a_call(DRAWN), from_cache=False) is None
    asked = CacheDirectives(namespace="paper-2026", sample=2)
    assert warning_topic(a_plan("paper-2026", directives=asked), a_call(DRAWN), from_cache=True) is None
    for determinism in (EXACT, ORDER):
        assert warning_topic(a_plan("paper-2026"), a_call(determinism), from_cache=True) is None


@pytest.mark.parametrize("determinism", [EXACT, ORDER, DRAWN])
def test_a_frozen_namespace_answers_with_what_was_recorded_and_nothing_else(determinism: Determinism) -> None:
    assert warning_topic(a_plan("paper-2026", frozen=True), a_call(determinism), from_cache=True) is None


def test_every_topic_is_named_where_the_metric_is_described() -> None:
    assert all(topic in WARNINGS.help for topic in TOPICS)
