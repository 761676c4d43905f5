"""The audit chain as somebody with write access to the file would attack it: each attack is named at its first line."""

from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.core.audit import GENESIS, BrokenLink, ChainHead, Event, follow, link, verify
from gateway.core.audit_kinds import AUDIT_KINDS

SECRET = b"the audit secret, thirty-two bytes"
SIX = tuple(
    Event(kind, 1000.5 + at, {"user": "ada", "call": f"{at:064x}"}) for at, kind in enumerate([*AUDIT_KINDS][:6])
)

FACTS = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=12),
    max_size=4,
)
EVENTS = st.builds(Event, st.sampled_from([*AUDIT_KINDS]), st.floats(0, 4e9), FACTS)


def written(events: Any = SIX) -> tuple[list[bytes], list[ChainHead]]:
    """The lines of these events, and the head before the first and after each."""
    lines, heads = [], [ChainHead()]
    for event in events:
        line, head = link(SECRET, heads[-1], event)
        lines.append(line)
        heads.append(head)
    return lines, heads


def broken_at(lines: list[bytes]) -> int:
    found = verify(SECRET, lines)
    assert isinstance(found, BrokenLink), "the chain counts as whole"
    assert found.reason
    return found.line


def test_a_chain_begins_at_nothing() -> None:
    assert verify(SECRET, []) == ChainHead() == ChainHead(0, GENESIS)


@given(st.lists(EVENTS, max_size=5))
@settings(max_examples=60, deadline=None)
def test_what_was_written_is_whole_and_ends_at_its_head(events: list[Event]) -> None:
    lines, heads = written(events)
    assert verify(SECRET, lines) == heads[-1]
    assert all(verify(SECRET, lines, head) == heads[-1] for head in heads)
    assert [orjson.loads(line)["kind"] for line in lines] == [event.kind for event in events]
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)


@given(st.integers(0, 5), st.data())
@settings(max_examples=200, deadline=None)
def test_any_changed_byte_is_named_at_its_line(number: int, data: st.DataObject) -> None:
    lines, _ = written()
    line = bytearray(lines[number])
    line[data.draw(st.integers(0, len(line) - 2))] ^= data.draw(st.integers(1, 255))
    lines[number] = bytes(line)
    assert broken_at(lines) == number + 1


@given(st.integers(0, 5), st.data())
@settings(max_examples=60, deadline=None)
def test_any_byte_put_in_is_named_at_its_line(number: int, data: st.DataObject) -> None:
    lines, _ = written()
    at = data.draw(st.integers(0, len(lines[number]) - 1))
    put = data.draw(st.sampled_from([b" ", b"\t", b"\r", b"\0", b"0", b",", b"\\", b'"']))
    lines[number] = lines[number][:at] + put + lines[number][at:]
    assert broken_at(lines) == number + 1


@pytest.mark.parametrize("number", range(6))
def test_a_removed_line_is_named_where_it_stood(number: int) -> None:
    lines, heads = written()
    del lines[number]
    if number == 5:
        assert verify(SECRET, lines) == heads[5]  # Only a head kept elsewhere knows of it.
    else:
        assert broken_at(lines) == number + 1


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b"[]\n", b"null\n", b"7\n", b'{"mac":1}\n', b"not json\n"])
@pytest.mark.parametrize("number", range(7))
def test_an_inserted_line_is_named_where_it_stands(number: int, line: bytes) -> None:
    lines, _ = written()
    lines.insert(number, line)
    assert broken_at(lines) == number + 1


@given(st.integers(0, 5), st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_a_line_written_twice_is_named_at_the_second(number: int, again: int) -> None:
    lines, _ = written()
    lines.insert(again, lines[number])
    # Beside itself a copy is like the line itself: the second of the two is the one that does not follow.
    assert broken_at(lines) == (again + 1 if again != number else number + 2)


@given(st.permutations(range(6)))
@settings(max_examples=60, deadline=None)
def test_lines_in_another_order_are_named_at_the_first_that_moved(order: list[int]) -> None:
    assume(order != sorted(order))
    lines, _ = written()
    first = next(place for place, number in enumerate(order) if place != number)
    assert broken_at([lines[number] for number in order]) == first + 1


@pytest.mark.parametrize("left", range(6))
def test_cutting_the_end_off_is_found_with_the_head_that_was_kept_elsewhere(left: int) -> None:
    lines, heads = written()
    assert verify(SECRET, lines[:left]) == heads[left]
    found = verify(SECRET, lines[:left], heads[6])
    assert isinstance(found, BrokenLink)
    assert found.line == left + 1
    assert "6 were written" in found.reason


def test_a_chain_begun_anew_does_not_pass_for_the_one_that_was_witnessed() -> None:
    _, heads = written()
    other, _ = written((*reversed(SIX), *SIX))
    assert isinstance(verify(SECRET, other), ChainHead)
    assert isinstance(verify(SECRET, other, heads[6]), BrokenLink)


def test_lines_written_under_another_secret_do_not_continue_the_chain() -> None:
    lines, heads = written()
    forged, _ = link(b"another secret", heads[6], SIX[0])
    assert broken_at([*lines, forged]) == 7


def test_a_sound_line_is_not_accepted_behind_another_head_of_the_same_number() -> None:
    lines, heads = written()
    assert follow(SECRET, heads[2], lines[2]) != heads[3]  # With its end: `verify` takes that off.
    assert follow(SECRET, heads[2], lines[2].strip()) == heads[3]
    assert isinstance(follow(SECRET, ChainHead(2, "f" * 64), lines[2].strip()), str)
    assert isinstance(follow(SECRET, ChainHead(3, heads[2].mac), lines[2].strip()), str)


def test_a_member_written_twice_does_not_hide_what_was_recorded() -> None:
    lines, _ = written()
    lines[3] = b'{"kind":"cache_purged",' + lines[3][1:]
    assert broken_at(lines) == 4


def test_the_same_content_in_another_spelling_is_named() -> None:
    lines, _ = written()
    assert b"ada" in lines[2]
    lines[2] = lines[2].replace(b"ada", b"\\u0061da")
    assert broken_at(lines) == 3


@pytest.mark.parametrize("mac", ["é", "", None, 5, ["x"], {"a": 1}, "\0"])
def test_an_hmac_that_is_none_is_named_and_stops_no_one(mac: Any) -> None:
    lines, _ = written()
    lines[1] = orjson.dumps({**orjson.loads(lines[1]), "mac": mac}, option=orjson.OPT_SORT_KEYS) + b"\n"
    assert broken_at(lines) == 2


@pytest.mark.parametrize("depth", [300, 2000])
def test_a_line_too_deep_to_read_is_named_and_stops_no_one(depth: int) -> None:
    lines, _ = written()
    lines[1] = b'{"facts":' + b"[" * depth + b"]" * depth + b',"mac":"x"}\n'
    assert broken_at(lines) == 2
