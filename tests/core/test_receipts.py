"""Receipts: all of one is in its identifier, which nobody can make up, change or read without the secret."""

import random
import re
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.receipts import MAX_BY_BYTES, MAX_IDENTIFIER_CHARS, Receipt, decode, encode, short, told
from gateway.core.types import DeterminismClass, Imported

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


ISSUED = "abcd-efgh-ijkl-mnop"
ORIGINS = [
    Imported(b"f" * 32, 1.8e9, "grace"),
    Imported(b"f" * 32, 1.8e9, "grace", b"k" * 32),
    Imported(b"f" * 32, 1.8e9, "grace", b"k" * 32, trusted=True),
    Imported(b"f" * 32, 1.8e9, "grace", b"k" * 32, trusted=True, issued=ISSUED),
    Imported(b"f" * 32, 1.8e9, "", issued=ISSUED),
    Imported(b"e" * 32, 1.8e9, "grace"),
    Imported(b"f" * 32, 1.8e9 + 1, "grace"),
]


def test_the_receipt_of_a_computed_answer_is_what_it_was_in_the_release_before() -> None:
    assert IDENTIFIER == (
        "GrkFti5o9mxxwpo3DESxnqEY5hH-tGyg_2KAhKYXwR1IOZ-9IsCfYBee0RYOc8XdhDPq33nic7j9Y"
        "kPqCBTzzK5pPhPdU5mGAApbFzDd0tnWSt45QeccPwJx0C2CMtaZRp_XMCnsmvm9wjrDzwddzK4F"
    )


def test_every_origin_of_an_imported_answer_comes_back_and_makes_another_receipt() -> None:
    made = {encode(KEY, replace(RECEIPT, imported=origin)): origin for origin in ORIGINS}
    assert len(made) == len(ORIGINS)
    for identifier, origin in made.items():
        assert decode(KEY, identifier) == replace(RECEIPT, imported=origin)
        assert identifier != IDENTIFIER


def test_the_longest_receipt_of_an_imported_answer_can_be_read() -> None:
    origin = Imported(b"f" * 32, 1.8e9, "g" * 100, b"k" * 32, trusted=True, issued=ISSUED)
    longest = replace(RECEIPT, model="m" * 255, upstream="u" * 255, imported=origin)
    identifier = encode(KEY, longest)
    assert len(identifier) <= MAX_IDENTIFIER_CHARS
    assert decode(KEY, identifier) == replace(longest, imported=replace(origin, by="g" * MAX_BY_BYTES))


def test_a_receipt_tells_what_was_seen_from_what_a_file_says() -> None:
    computed, imported = (told(replace(RECEIPT, imported=origin), "id") for origin in (None, ORIGINS[3]))
    assert (computed["origin"], imported["origin"]) == ("computed", "imported")
    assert "imported" not in computed
    assert imported["imported"] == {
        "file_sha256": "66" * 32,
        "at": "2027-01-15T08:00:00.000+00:00",
        "by": "grace",
        "signature": "trusted",
        "signed_by": "esmgw-ed25519-a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s",
        "issued_as": ISSUED,
    }
    assert computed["citation"] == (
        "esm3 (class pinned), computed 2026-11-18T11:06:40.125+00:00 by https://up.example; "
        f"esm-gateway receipt {short('id')}, answer SHA-256 6161616161616161"
    )
    assert "as the file with SHA-256 6666666666666666 says, signed by a trusted gateway" in imported["citation"]
    for origin in ORIGINS[:2]:
        assert "without a trusted signature" in replace(RECEIPT, imported=origin).citation("id")


def test_the_short_form_is_a_digest_of_the_identifier_that_people_can_copy() -> None:
    shorts = {short(encode(KEY, replace(RECEIPT, computed=float(i)))) for i in range(2000)}
    assert len(shorts) == 2000
    assert all(re.fullmatch("([a-z2-7]{4}-){3}[a-z2-7]{4}", each) for each in shorts)
    assert short(IDENTIFIER) == short(IDENTIFIER)
