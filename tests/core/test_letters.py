"""The first wrong character of a text is named, escaped, with its place and what to write instead."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import letters

SENTENCE = "letters are accepted"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MAL*", r"letter 4 is '*'"),
        ("AC\nDE", r"letter 3 is '\n' (a line break)"),
        ("AC\r\nDE", r"letter 3 is '\r' (a line break)"),
        (">sp|P12345\nMAL", r"letter 1 is '>'"),
        ("AC DE", r"letter 3 is ' ' (a space)"),
        ("\tAC", r"letter 1 is '\t' (a tab)"),
        ("AC:DE", r"letter 3 is ':'"),
        ("AC/DE", r"letter 3 is '/'"),
        ("AC<mask>", r"letter 3 is '<'"),
        ("A'C", r"""letter 2 is "'";"""),
        ("A1", r"letter 2 is '1'"),
        ("é", r"letter 1 is '\xe9'"),
        ("AC\u202eDE", r"letter 3 is '\u202e'"),
        ("A\U0001f600", r"letter 2 is '\U0001f600'"),
        ("\ud800", r"letter 1 is '\ud800'"),
        ("\x1b[31m", r"letter 1 is '\x1b'"),
    ],
)
def test_the_first_wrong_character_is_named(text: str, said: str) -> None:
    fault = letters.fault(text, letters.PROTEIN, SENTENCE)
    assert fault is not None
    assert fault.startswith(said)
    assert SENTENCE in fault
    assert fault.isascii()
    assert fault.isprintable()


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("AC:DE", "write `|` between chains"),
        ("AC/DE", "write `|` between chains"),
        (">sp\nAC", "FASTA"),
        ("AC\nDE", "FASTA"),
        ("MAL*", "stop"),
        ("<mask>", "write `_`"),
    ],
)
def test_what_to_write_instead_is_said(text: str, remedy: str) -> None:
    assert remedy in str(letters.fault(text, letters.PROTEIN, SENTENCE))


@given(st.text())
def test_a_text_is_faulty_exactly_where_a_character_is_not_accepted(text: str) -> None:
    fault = letters.fault(text, letters.PROTEIN, SENTENCE)
    assert (fault is None) == bool(re.fullmatch(r"[A-Za-z_|.\-]+", text))
    other = next((i for i, letter in enumerate(text, 1) if not re.match(r"[A-Za-z_|.\-]", letter)), None)
    assert other is None or f"letter {other} is " in str(fault)


def test_an_empty_text_is_said_to_be_empty() -> None:
    assert str(letters.fault("", letters.PROTEIN, SENTENCE)).startswith("has no letters")
