"""Cache entries: what comes back is what was kept, or nothing."""

from dataclasses import replace

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import sealing
from gateway.core.entry_codec import COMPRESS_FROM_BYTES, compress, decode, encode, from_bytes, to_bytes
from gateway.core.types import Answer, DeterminismClass

KEY, OTHER_KEY, NONCE = b"k" * 32, b"l" * 32, bytes(range(12))
ANSWER = Answer(b'{"outputs":{}}', 1_795_000_000.25, DeterminismClass.PINNED)
ENTRY = encode(KEY, "a" * 64, ANSWER, NONCE)
LARGE = Answer(
    b'{"outputs":{"sequence":[%s]}}' % (b"0," * 2000), 5.5, DeterminismClass.SAMPLED, 1.25, "https://up.example"
)


@given(
    st.binary(max_size=3000),
    st.floats(0, 1e11),
    st.sampled_from(list(DeterminismClass)),
    st.floats(0, 1e5),
    st.text(max_size=40),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_an_answer_comes_back_with_all_that_is_known_of_it(
    body: bytes, created: float, cls: DeterminismClass, compute_s: float, upstream: str, framed: bool
) -> None:
    answer = compress(Answer(body, created, cls, compute_s, upstream, is_template=framed))
    assert decode(KEY, "here", encode(KEY, "here", answer, NONCE)) == answer


@pytest.mark.parametrize(("size", "packed"), [(COMPRESS_FROM_BYTES - 1, False), (COMPRESS_FROM_BYTES, True)])
def test_bodies_that_are_worth_it_are_kept_in_zstd_and_are_the_same_bytes_again(size: int, packed: bool) -> None:
    body = b"0," * (size // 2) + b"0" * (size % 2)
    answer = compress(replace(LARGE, body=body))
    assert (answer.compressed is not None) is packed
    if answer.compressed is not None:
        assert zstandard.decompress(answer.compressed) == body
        assert len(to_bytes(answer)) < len(body) / 5
    again = from_bytes(to_bytes(answer))
    assert again is not None
    assert (again.body, again.compressed) == (body, answer.compressed)


def test_what_is_packed_is_not_packed_again() -> None:
    answer = compress(LARGE)
    assert compress(answer) is answer


def claiming(size: int) -> bytes:
    """An entry whose zstd frame says, truly or not, that it holds so many bytes."""
    packed = zstandard.ZstdCompressor(level=1).compress(bytes(size))
    return to_bytes(replace(LARGE, compressed=packed))


def test_an_entry_that_would_be_larger_than_may_be_kept_is_no_answer() -> None:
    assert from_bytes(claiming(100_000), max_bytes=100_000) is not None
    assert from_bytes(claiming(100_001), max_bytes=100_000) is None
    sealed = sealing.seal(KEY, "here", claiming(50 * 2**20), NONCE)
    assert len(sealed) < 10_000
    assert decode(KEY, "here", sealed, 2**24) is None


@pytest.mark.parametrize("with_size", [True, False])
def test_a_zstd_frame_that_is_cut_broken_or_of_unknown_size_is_no_answer(with_size: bool) -> None:
    packed = zstandard.ZstdCompressor(write_content_size=with_size, write_checksum=True).compress(LARGE.body)
    whole = to_bytes(replace(LARGE, compressed=packed))
    assert (from_bytes(whole) is not None) is with_size
    head = len(whole) - len(packed)
    for length in range(head, len(whole)):
        assert from_bytes(whole[:length]) is None
    for place in range(head, len(whole)):
        broken = from_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        assert broken is None or broken.body == LARGE.body


def test_a_long_name_of_an_upstream_is_cut_between_characters() -> None:
    again = from_bytes(to_bytes(replace(LARGE, upstream="é" * 200)))
    assert again is not None
    assert again.upstream == "é" * 127


@pytest.mark.parametrize("place", range(len(ENTRY)))
def test_an_entry_with_a_flipped_byte_is_no_answer(place: int) -> None:
    for flip in (1, 255):
        forged = ENTRY[:place] + bytes([ENTRY[place] ^ flip]) + ENTRY[place + 1 :]
        assert decode(KEY, "a" * 64, forged) is None


@pytest.mark.parametrize("length", range(len(ENTRY)))
def test_a_truncated_entry_is_no_answer(length: int) -> None:
    assert decode(KEY, "a" * 64, ENTRY[:length]) is None


def test_an_entry_of_another_call_or_under_another_key_is_no_answer() -> None:
    assert decode(KEY, "a" * 64, ENTRY) == ANSWER
    assert decode(KEY, "b" * 64, ENTRY) is None
    assert decode(KEY, "a" * 63, ENTRY) is None
    assert decode(OTHER_KEY, "a" * 64, ENTRY) is None


OF_AN_OLDER_FORM = b"\1" + bytes(8) + b'{"outputs":{}}' * 9


@pytest.mark.parametrize(
    "content", [b"", b"\2", b"\2\1" + bytes(17), b"\2\5" + bytes(18), b"\2\1" + bytes(17) + b"\5", OF_AN_OLDER_FORM]
)
def test_sealed_bytes_that_are_no_entry_are_no_answer(content: bytes) -> None:
    assert decode(KEY, "here", sealing.seal(KEY, "here", content, NONCE)) is None
