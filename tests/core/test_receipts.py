"""Receipts: all of one is in its identifier, which nobody can make up, change or read without the secret."""

import random
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.receipts import MAX_IDENTIFIER_CHARS, Receipt, decode, encode
from gateway.core.types import DeterminismClass

KEY = b"k" * 32
RECEIPT = Receipt("esm3", b"c" * 32, DeterminismClass.PINNED, 1_795_000_000.125, "https://up.example", b"a" * 32)
IDENTIFIER = encode(KEY, RECEIPT)
NAMES = st.text(st.characters(blacklist_categories=["Cs"]), max_size=60)


@given(NAMES, st.binary(min_size=32, max_size=32), st.sampled_from(list(DeterminismClass)), st.floats(0, 4e9), NAMES)
@settings(max_examples=100, deadline=None)
def test_a_receipt_says_later_what_it_said_at_first(
    model: str, digest: bytes, cls: DeterminismClass, computed: float, upstream: str
) -> None:
    receipt = Receipt(model, digest, cls, computed, upstream, digest[::-1])
    identifier = encode(KEY, receipt)
    assert decode(KEY, identifier) == receipt
    assert encode(KEY, receipt) == identifier
    assert not set(identifier) - set(string.ascii_letters + string.digits + "-_")


CHANGES: dict[str, Any] = {
    "model": "esm4",
    "call": b"d" * 32,
    "cls": DeterminismClass.EXACT,
    "computed": RECEIPT.computed + 0.001,
    "upstream": "https://other.example",
    "answer": b"b" * 32,
}


@pytest.mark.parametrize("member", CHANGES)
def test_another_answer_call_model_time_or_upstream_has_another_receipt(member: str) -> None:
    other = replace(RECEIPT, **{member: CHANGES[member]})
    assert encode(KEY, other) != IDENTIFIER
    assert decode(KEY, encode(KEY, other)) == other


def test_another_gateway_cannot_read_a_receipt_and_makes_another_of_the_same() -> None:
    assert decode(b"o" * 32, IDENTIFIER) is None
    assert encode(b"o" * 32, RECEIPT) != IDENTIFIER


def test_an_identifier_shows_nothing_of_what_it_holds() -> None:
    others = [encode(KEY, replace(RECEIPT, model=model)) for model in ("esm3", "esm2")]
    assert others[0][:8] != others[1][:8]


@pytest.mark.parametrize("place", range(len(IDENTIFIER)))
def test_an_identifier_with_a_changed_character_is_none_of_ours(place: int) -> None:
    for letter in "A_!= é":
        forged = IDENTIFIER[:place] + letter + IDENTIFIER[place + 1 :]
        assert forged == IDENTIFIER or decode(KEY, forged) is None
        assert decode(KEY, IDENTIFIER[:place] + letter + IDENTIFIER[place:]) is None


@pytest.mark.parametrize("length", range(len(IDENTIFIER)))
def test_a_cut_identifier_is_none_of_ours(length: int) -> None:
    assert decode(KEY, IDENTIFIER[:length]) is None


@pytest.mark.parametrize(
    "odd",
    [
        "=",
        "A",
        "é" * 8,
        "\ud800",
        "\0" * 64,
        "A" * MAX_IDENTIFIER_CHARS,
        "A" * 100_000,
        IDENTIFIER + "=",
        IDENTIFIER + "\n",
    ],
)
def test_what_is_no_identifier_is_no_receipt(odd: str) -> None:
    assert decode(KEY, odd) is None


def test_no_made_up_identifier_is_one_of_ours() -> None:
    chance = random.Random(7)
    letters = string.ascii_letters + string.digits + "-_"
    for _ in range(3000):
        assert decode(KEY, "".join(chance.choices(letters, k=chance.randrange(200)))) is None


def test_the_longest_receipt_can_be_read() -> None:
    longest = replace(RECEIPT, model="m" * 255, upstream="u" * 255)
    assert decode(KEY, encode(KEY, longest)) == longest
    cut = decode(KEY, encode(KEY, replace(RECEIPT, upstream="é" * 200)))
    assert cut == replace(RECEIPT, upstream="é" * 127)


def test_a_receipt_reads_as_something_that_can_be_cited() -> None:
    assert RECEIPT.document() == {
        "model": "esm3",
        "call_sha256": "63" * 32,
        "answer_sha256": "61" * 32,
        "determinism": "pinned",
        "computed": "2026-11-18T11:06:40.125+00:00",
        "upstream": "https://up.example",
    }
