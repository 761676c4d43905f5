"""How a body becomes a call or a refusal, shown on a toy endpoint."""

from typing import Annotated, Any, Literal

import numpy as np
import orjson
import pytest
from pydantic import Field

from gateway.core.answer_model import AnswerModel
from gateway.core.endpoint import NOT_MODELLED, Body, Endpoint, NormalizedBody, ParseConfig
from gateway.core.problems import BODY_UNREADABLE, CALL_INVALID, Problem
from gateway.core.types import Call, DeterminismClass

RULES = ParseConfig(models={"small": 1.0, "large": 2.5, "tiny": 0.001})


class Part(Body):
    left: Annotated[int, Field(ge=0, le=9)]
    right: int | str | None = None


class Toy(Body):
    model: str
    part: Part
    ids: list[Annotated[int, Field(ge=0, le=32)]] | None = None
    ratio: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    rows: list[Annotated[tuple[str, int, int], Field(strict=False)]] | None = None
    way: Literal["random", "entropy"] | None = None
    potential_sequence_of_concern: bool | None = None


def normalize(asked: Toy, rules: ParseConfig) -> NormalizedBody:
    return NormalizedBody(body=asked.model_dump(exclude_unset=True), units=10, length=10)


ANYTHING = AnswerModel({}, lambda *_: ())
TOY = Endpoint("toy", Toy, normalize, price="ten", answer=ANYTHING)
BODY = {"model": "small", "part": {"left": 1}}


class Ask(Body):
    text: str
    deep: Literal["true", "false"] = "false"


class Asking(Body):
    query: Ask
    potential_sequence_of_concern: bool | None = None


ASKING = Endpoint(
    "asking",
    Asking,
    lambda asked, _: NormalizedBody(body={}, units=4, length=4, query=f"?text={asked.query.text}"),
    price="four",
    answer=ANYTHING,
    query_model=Ask,
    fixed_model="asking",
)


def parse(
    raw: bytes | dict[str, Any], endpoint: Endpoint[Any] = TOY, query: str = "", rules: ParseConfig = RULES
) -> Call:
    return endpoint.parse(raw if isinstance(raw, bytes) else orjson.dumps(raw), query, rules)


def refusal(
    raw: bytes | dict[str, Any], endpoint: Endpoint[Any] = TOY, query: str = "", rules: ParseConfig = RULES
) -> Problem:
    with pytest.raises(Problem) as caught:
        parse(raw, endpoint, query, rules)
    return caught.value


def pointers(raw: bytes | dict[str, Any], endpoint: Endpoint[Any] = TOY, query: str = "") -> list[str]:
    problem = refusal(raw, endpoint, query)
    assert problem.type is CALL_INVALID
    return [error.pointer for error in problem.errors]


def test_a_call_says_where_it_goes_for_whom_it_counts_and_how_much() -> None:
    call = parse(BODY)
    assert (call.endpoint, call.target, call.model, call.flagged) == ("toy", "/api/v1/toy", "small", False)
    assert (call.units, call.length, call.determinism) == (10, 10, NOT_MODELLED)
    assert call.determinism.cls is DeterminismClass.UNKNOWN
    assert orjson.loads(call.body) == BODY


def test_units_are_weighed_by_the_model_and_never_nothing() -> None:
    assert parse({**BODY, "model": "large"}).units == 25
    assert parse({**BODY, "model": "tiny"}).units == 1


@pytest.mark.parametrize(("flag", "flagged"), [(True, True), (False, False), (None, False)])
def test_the_flag_is_always_a_yes_or_a_no(flag: bool | None, flagged: bool) -> None:
    assert parse({**BODY, "potential_sequence_of_concern": flag}).flagged is flagged


def test_what_goes_upstream_is_written_anew() -> None:
    call = parse(b' {\n"part" : {"left":\t1}, "model":"sm\\u0061ll" } ')
    assert call.body == b'{"model":"small","part":{"left":1}}'


def test_a_call_shows_no_body_in_its_repr() -> None:
    assert "left" not in repr(parse(BODY))


def test_the_order_of_members_does_not_change_the_canonical_form() -> None:
    one, other = ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})
    forms = {TOY.canonical_form(NormalizedBody(body=body, units=1, length=1)) for body in (one, other)}
    assert len(forms) == 1
    assert parse(BODY).canonical_digest == parse(dict(reversed(BODY.items()))).canonical_digest
    assert len(parse(BODY).canonical_digest) == 32


def test_the_endpoint_and_the_query_are_part_of_the_canonical_form() -> None:
    form = NormalizedBody(body={"a": 1}, units=1, length=1)
    asked = NormalizedBody(body={"a": 1}, units=1, length=1, query="?x=1")
    other = Endpoint("other", Toy, normalize, price="ten", answer=ANYTHING)
    assert len({TOY.canonical_form(form), TOY.canonical_form(asked), other.canonical_form(form)}) == 3


def test_what_is_too_big_for_text_stands_at_the_end_of_the_canonical_form() -> None:
    def form(*bulk: bytes) -> bytes:
        return TOY.canonical_form(NormalizedBody(body={}, bulk_free={}, bulk=bulk, units=1, length=1))

    assert len({form(), form(b""), form(b"ab"), form(b"a", b"b"), form(b"b", b"a"), form(b"a\0b")}) == 6


def test_an_array_in_a_body_is_forwarded_as_numbers_and_counts_in_the_canonical_form() -> None:
    def call(array: Any) -> Call:
        return parse(
            BODY, Endpoint("toy", Toy, lambda *_: NormalizedBody(body={"c": array}, units=1, length=1), "one", ANYTHING)
        )

    array = np.array([[0.5, np.nan], [1.0, 2.0]])
    assert orjson.loads(call(array).body) == {"c": [[0.5, None], [1.0, 2.0]]}
    assert call(array).canonical_digest == call(array.copy()).canonical_digest
    seen = {call(a).canonical_digest for a in (array, array.T.copy(), array.reshape(4), np.nextafter(array, 9))}
    assert len(seen) == 4


@pytest.mark.parametrize("raw", [b"[]", b"null", b"5", b'"text"', b"[{}]"])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    problem = refusal(raw)
    assert (problem.type, problem.detail) == (BODY_UNREADABLE, "The body must be one JSON object.")


def test_a_repeated_member_is_refused_even_where_both_values_agree() -> None:
    problem = refusal(b'{"model":"small","model":"small","part":{"left":1}}')
    assert (problem.type, [error.pointer for error in problem.errors]) == (BODY_UNREADABLE, ["/model"])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"model": None}, ["/model"]),
        ({"model": 5}, ["/model"]),
        ({"part": {}}, ["/part/left"]),
        ({"part": None}, ["/part"]),
        ({"part": {"left": 10}}, ["/part/left"]),
        ({"part": {"left": "1"}}, ["/part/left"]),
        ({"part": {"left": True}}, ["/part/left"]),
        ({"part": {"left": 1.5}}, ["/part/left"]),
        ({"part": {"left": 1, "right": [1]}}, ["/part/right"]),
        ({"part": {"left": 1, "middle": 1}}, ["/part/middle"]),
        ({"part": {"left": 1, "point": None}}, ["/part/point"]),
        ({"ids": [1, 33, -1, "2"]}, ["/ids/1", "/ids/2", "/ids/3"]),
        ({"ids": {"0": 1}}, ["/ids"]),
        ({"ratio": True}, ["/ratio"]),
        ({"ratio": "1"}, ["/ratio"]),
        ({"rows": [["a", 1]]}, ["/rows/0/2"]),
        ({"rows": [["a", 1, 2, 3]]}, ["/rows/0"]),
        ({"rows": [["a", 1, True]]}, ["/rows/0/2"]),
        ({"rows": ["abc"]}, ["/rows/0"]),
        ({"way": "Random"}, ["/way"]),
        ({"potential_sequence_of_concern": "true"}, ["/potential_sequence_of_concern"]),
        ({"potential_sequence_of_concern": 1}, ["/potential_sequence_of_concern"]),
        ({"constraint": 1}, ["/constraint"]),
        ({"hint": None}, ["/hint"]),
        ({"query": {}}, ["/query"]),
        ({"model": "unknown"}, ["/model"]),
    ],
)
def test_every_faulty_field_is_named_by_pointer(change: dict[str, Any], where: list[str]) -> None:
    assert list(dict.fromkeys(pointers({**BODY, **change}))) == where


def test_all_faults_are_named_at_once() -> None:
    assert pointers({"model": 1, "part": {"left": 10, "x": 1}, "way": "no"}) == [
        "/model",
        "/part/left",
        "/part/x",
        "/way",
    ]


def test_a_missing_member_and_an_unknown_one_are_told_in_plain_words() -> None:
    said = {error.pointer: error.detail for error in refusal({"part": {"left": 1}, "x": 1}).errors}
    assert said == {"/model": "this member is required", "/x": "no such member is known here"}


def test_more_than_twenty_faults_are_counted_not_listed() -> None:
    problem = refusal({**BODY, "ids": [99] * 50})
    assert len(problem.errors) == 21
    assert problem.errors[-1].detail == "and 30 more faults"


def test_a_refusal_repeats_nothing_of_the_body() -> None:
    odd = "MKTAYIAK QRQISF"
    raw = {"model": odd, "part": {"left": odd, odd: 1}, "ids": [odd], "ratio": odd, "way": odd, odd: odd, "rows": [odd]}
    assert "MKTAYIAK" not in str(refusal(raw).document("r"))
    assert "MKTAYIAK" not in str(refusal({**BODY, "model": odd}).document("r"))


def test_a_model_that_is_not_offered_is_refused_with_those_that_are() -> None:
    (error,) = refusal({**BODY, "model": "esm9"}).errors
    assert error.detail.endswith("large, small, tiny")


@pytest.mark.parametrize("number", [b"5.0", b"5e0", b"50E-1", b"0.5e1"])
def test_a_whole_number_may_be_spelled_as_a_float(number: bytes) -> None:
    call = parse(b'{"model":"small","part":{"left":' + number + b"}}")
    assert call.body == b'{"model":"small","part":{"left":5}}'


def test_a_null_that_was_written_is_forwarded_as_null() -> None:
    assert orjson.loads(parse({**BODY, "ids": None}).body) == {**BODY, "ids": None}


@pytest.mark.parametrize("depth", [400, 900, 1020, 100_000])
def test_a_deep_body_is_refused_in_words(depth: int) -> None:
    raw = b'{"model":"small","part":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    assert refusal(raw).type in (BODY_UNREADABLE, CALL_INVALID)


@pytest.mark.parametrize("query", ["x=1", "model=small", "x", "&".join(f"a{i}=1" for i in range(30)), "x=" * 40_000])
def test_an_endpoint_without_query_parameters_takes_none(query: str) -> None:
    assert refusal(BODY, query=query).type is CALL_INVALID


def test_query_parameters_are_read_beside_the_body() -> None:
    call = parse({}, ASKING, "text=AC%3AD&deep=true")
    assert (call.target, call.model, call.flagged) == ("/api/v1/asking?text=AC:D", "asking", False)
    assert parse({"potential_sequence_of_concern": True}, ASKING, "text=A").flagged


def test_an_endpoint_that_runs_no_model_is_free_of_the_allow_list_and_weighs_one() -> None:
    assert parse({}, ASKING, "text=A", ParseConfig(models={})).units == 4
    assert pointers({"model": "small"}, ASKING, "text=A") == ["/model"]


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("", ["/query/text"]),
        ("deep=true", ["/query/text"]),
        ("text=A&deep=yes", ["/query/deep"]),
        ("text=A&other=1", ["/query/other"]),
    ],
)
def test_a_faulty_query_parameter_is_named(query: str, where: list[str]) -> None:
    assert pointers({}, ASKING, query) == where


@pytest.mark.parametrize("query", ["text=A&text=A", "&".join(f"a{i}=1" for i in range(30)), "text=" + "A" * 70_000])
def test_repeated_or_too_many_query_parameters_are_refused(query: str) -> None:
    assert refusal({}, ASKING, query).type is CALL_INVALID


def test_a_body_cannot_stand_in_for_the_query() -> None:
    assert pointers({"query": {"text": "B"}}, ASKING, "text=A") == ["/query"]
    assert pointers({"query": {"text": "B"}}, ASKING) == ["/query"]
