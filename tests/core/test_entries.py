"""Cache entries: what comes back is what was kept, or nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import envelope
from gateway.core.entries import close, open_entry
from gateway.core.nouns import Answer, Class

KEY, OTHER_KEY, NONCE = b"k" * 32, b"l" * 32, bytes(range(12))
ANSWER = Answer(b'{"outputs":{}}', 1_795_000_000.25, Class.PINNED)
ENTRY = close(KEY, "a" * 64, ANSWER, NONCE)


@given(st.binary(max_size=300), st.floats(0, 1e11), st.sampled_from([Class.EXACT, Class.PINNED]))
@settings(max_examples=100, deadline=None)
def test_an_answer_comes_back_with_its_age_and_class(body: bytes, created: float, cls: Class) -> None:
    answer = Answer(body, created, cls)
    assert open_entry(KEY, "here", close(KEY, "here", answer, NONCE)) == answer


@pytest.mark.parametrize("place", range(len(ENTRY)))
def test_an_entry_with_a_flipped_byte_is_no_answer(place: int) -> None:
    for flip in (1, 255):
        forged = ENTRY[:place] + bytes([ENTRY[place] ^ flip]) + ENTRY[place + 1 :]
        assert open_entry(KEY, "a" * 64, forged) is None


@pytest.mark.parametrize("length", range(len(ENTRY)))
def test_a_truncated_entry_is_no_answer(length: int) -> None:
    assert open_entry(KEY, "a" * 64, ENTRY[:length]) is None


def test_an_entry_of_another_call_or_under_another_key_is_no_answer() -> None:
    assert open_entry(KEY, "a" * 64, ENTRY) == ANSWER
    assert open_entry(KEY, "b" * 64, ENTRY) is None
    assert open_entry(KEY, "a" * 63, ENTRY) is None
    assert open_entry(OTHER_KEY, "a" * 64, ENTRY) is None


@pytest.mark.parametrize("content", [b"", b"\1", b"\1" + bytes(7), b"\0" + bytes(8), b"\3" + bytes(20), b"{}" * 9])
def test_sealed_bytes_that_are_no_entry_are_no_answer(content: bytes) -> None:
    assert open_entry(KEY, "here", envelope.seal(KEY, "here", content, NONCE)) is None


@pytest.mark.parametrize("cls", [Class.SAMPLED, Class.UNKNOWN])
def test_an_answer_that_may_not_be_kept_cannot_be_made_an_entry(cls: Class) -> None:
    with pytest.raises(KeyError):
        close(KEY, "here", Answer(b"{}", 0.0, cls), NONCE)
