"""Packed members: what is refused before it is unpacked, and that unpacking takes no more memory than it says."""

import base64
import io
import tracemalloc

import pytest
import zstandard

from gateway.core.packed_json import PackedError, TakesLongError, unpack_all

AT = "/msa"


def text(frame: bytes) -> str:
    return base64.b64encode(frame).decode()


def streamed(content: bytes) -> bytes:
    """A frame whose header does not tell the size."""
    target = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(target, closefd=False) as writer:
        writer.write(content)
    return target.getvalue()


def lying(content: bytes, declared: int) -> bytes:
    """A frame whose header tells another size, in its eight-byte form."""
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(content)
    assert zstandard.get_frame_parameters(frame).content_size == zstandard.CONTENTSIZE_UNKNOWN
    descriptor = frame[4] | 0b11000000
    return frame[:4] + bytes([descriptor]) + frame[5:6] + declared.to_bytes(8, "little") + frame[6:]


FRAME = zstandard.compress(b"[1,2,3]")
ODD = [
    ("no base64", "@@@@", "base64"),
    ("unused bits", text(FRAME + b"\0")[:-3] + "B==", "unused bits"),
    ("not zstd", text(b"[1,2,3]"), "zstd"),
    ("nothing", "", "zstd"),
    ("half a frame", text(FRAME[:-3]), "one whole zstd frame"),
    ("something after it", text(FRAME + b"more"), "one whole zstd frame"),
    ("another frame after it", text(FRAME + FRAME), "one whole zstd frame"),
    ("a skippable frame after it", text(FRAME + b"\x50\x2a\x4d\x18\x04\0\0\0evil"), "one whole zstd frame"),
    ("size not told", text(streamed(b"[1,2,3]")), "declare its unpacked size"),
    ("less than it says", text(lying(b"[1,2,3]", 500)), "one whole zstd frame"),
    ("more than it says", text(lying(b"[1,2,3]" * 100, 7)), "one whole zstd frame"),
]


@pytest.mark.parametrize(("packed", "reason"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
def test_what_can_be_read_in_two_ways_or_in_none_is_refused(packed: str, reason: str) -> None:
    with pytest.raises(PackedError, match=reason) as caught:
        unpack_all({AT: packed}, 1000)
    assert caught.value.at == AT


@pytest.mark.parametrize("content", [b"{}", b"[1,2,3]", b"x" * 1000, bytes(range(250)) * 4])
def test_what_is_packed_comes_out_up_to_the_bound(content: bytes) -> None:
    packed = text(zstandard.compress(content))
    assert unpack_all({AT: packed}, len(content)) == {AT: content}
    with pytest.raises(PackedError, match=f"more than the {len(content) - 1} bytes"):
        unpack_all({AT: packed}, len(content) - 1)


def test_the_bound_is_for_all_members_together() -> None:
    packed = {f"/{i}": text(zstandard.compress(b"x" * 100)) for i in range(3)}
    assert len(unpack_all(packed, 300)) == 3
    with pytest.raises(PackedError) as caught:
        unpack_all(packed, 299)
    assert caught.value.at == "/2"


@pytest.mark.parametrize("declared", [2**25, 2**40, 2**62])
@pytest.mark.parametrize("bomb", [True, False])
def test_a_bomb_is_refused_without_unpacking(bomb: bool, declared: int) -> None:
    content = zstandard.compress(bytes(2**25)) if bomb else lying(b"small", declared)
    tracemalloc.start()
    with pytest.raises(PackedError, match="unpacks to more"):
        unpack_all({AT: text(content)}, 2**24)
    assert tracemalloc.get_traced_memory()[1] < 2**16
    tracemalloc.stop()


def test_unpacking_allocates_what_comes_out_and_no_more() -> None:
    packed = text(zstandard.compress(bytes(2**22)))
    tracemalloc.start()
    content = unpack_all({AT: packed}, 2**24)[AT]
    assert tracemalloc.get_traced_memory()[1] < 2**22 + 2**16
    tracemalloc.stop()
    assert content.__sizeof__() < 2**22 + 100


def test_what_would_take_long_is_said_before_it_is_done() -> None:
    packed = {f"/{i}": text(zstandard.compress(b"x" * 100)) for i in range(2)}
    assert len(unpack_all(packed, 1000, at_once_bytes=200)) == 2
    with pytest.raises(TakesLongError):
        unpack_all(packed, 1000, at_once_bytes=199)
