"""msa: its query, and that it runs no model of the settings."""

import json

import pytest

from gateway.core.endpoint import ParseConfig
from gateway.core.problems import CALL_INVALID, Problem
from tests.endpoints.examples import (
    ESM3,
    FLAG,
    Example,
    call,
    errors,
)

EXAMPLE = Example(
    {}, bills=(({}, 8, 1),), too_long=({}, ""), query="sequence=ACDEFG&use_env=false", sdk=("321",), flag=None
)


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("sequence=ACD%3AEFG&use_env=false", "sequence=ACD%3AEFG&use_env=false"),
        ("use_env=True&sequence=ACD:EFG", "sequence=ACD%3AEFG&use_env=true"),
        ("sequence=ACD%7CEFG", "sequence=ACD%7CEFG"),
        ("sequence=%41%43&use_env=False", "sequence=AC&use_env=false"),
    ],
)
def test_the_query_of_msa_is_written_anew(query: str, target: str) -> None:
    made = call("msa", {}, query)
    assert (made.target, made.body, made.model) == (f"/api/v1/msa?{target}", b"{}", "msa")


def test_two_spellings_of_one_alignment_are_one_call_and_two_sequences_are_two() -> None:
    one = call("msa", {}, "sequence=AC%3AD&use_env=false")
    assert call("msa", {}, "use_env=False&sequence=AC:D").canonical_digest == one.canonical_digest
    assert call("msa", {}, "use_env=false&sequence=AC:E").canonical_digest != one.canonical_digest


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("", "/query/sequence"),
        ("use_env=true", "/query/sequence"),
        ("sequence=", "/query/sequence"),
        ("sequence=A%20C", "/query/sequence"),
        ("sequence=AC%0D%0AX", "/query/sequence"),
        ("sequence=AC%26use_env=true", "/query/sequence"),
        ("sequence=AC&use_env=1", "/query/use_env"),
        ("sequence=AC&use_env=", "/query/use_env"),
        ("sequence=AC&model=x", "/query/model"),
    ],
)
def test_a_faulty_query_of_msa_is_refused_by_name(query: str, where: str) -> None:
    assert errors("msa", {}, query) == [where]


@pytest.mark.parametrize(
    ("query", "units"),
    [("use_env=false", 8), ("use_env=False", 8), ("", 8), ("use_env=true", 16), ("use_env=True", 16)],
)
def test_a_search_of_a_second_collection_counts_twice(query: str, units: int) -> None:
    made = call("msa", {}, f"sequence=ACDEFG&{query}".rstrip("&"))
    assert (made.units, made.length) == (units, 8)


def test_a_repeated_parameter_is_refused() -> None:
    with pytest.raises(Problem) as caught:
        call("msa", {}, "sequence=AC&sequence=DE")
    assert caught.value.type is CALL_INVALID


def test_msa_runs_no_model_of_the_settings() -> None:
    assert errors("msa", {"model": ESM3}, "sequence=AC") == ["/model"]
    assert call("msa", {}, "sequence=AC", ParseConfig(models={})).units == 4
    assert json.loads(call("msa", {FLAG: True}, "sequence=AC").body) == {FLAG: True}


def test_an_msa_of_too_many_residues_is_refused() -> None:
    eight = ParseConfig(models={}, max_tokens=8)
    assert errors("msa", {}, "sequence=ACDEFG", eight) == []
    assert errors("msa", {}, "sequence=ACDEFGH", eight) == ["/query/sequence"]
