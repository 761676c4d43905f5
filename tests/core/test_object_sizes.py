"""Sizes are those of the heap: compared with what the interpreter's own tracing says."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import zstandard

from gateway.adapters import directory_codec
from gateway.core.object_sizes import block, shrunk, size_of
from gateway.core.types import Approval, DeterminismClass, KeyRecord, Limits, Principal

COUNT = 2000
RECORD = directory_codec.encode_key(KeyRecord("k1", "d" * 64, "ada@lab.org", "proteins", 1.5, limits=Limits(7, 8)))
GRANTS = directory_codec.encode_approvals([Approval("g1", "ada", ("bea", "carl"), "a reason", 1.5, 4e9, ("m",))] * 3)


def traced(make: Callable[[], Any]) -> float:
    """Bytes that each of many such values takes."""
    kept = [None] * COUNT
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for place in range(COUNT):
        kept[place] = make()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / COUNT


def a_principal() -> Principal:
    record, grants = directory_codec.decode_key(RECORD), directory_codec.decode_approvals(GRANTS)
    assert record is not None
    assert grants is not None
    return Principal(record, grants)


@pytest.mark.parametrize(
    "make",
    [
        lambda: bytes(bytearray(100)),
        lambda: bytes(bytearray(5000)),
        lambda: "x".join(["ab"] * 50),
        lambda: (1.5 * len(str(object())), bytes(bytearray(40))),
        lambda: {"a": bytes(bytearray(100)), "b": [bytes(bytearray(50))]},
        a_principal,
    ],
)
def test_a_size_is_at_least_what_the_heap_says_and_not_much_more(make: Callable[[], Any]) -> None:
    real = traced(make)
    assert real <= size_of(make()) <= 1.35 * real + 64


@pytest.mark.parametrize("value", [None, True, DeterminismClass.EXACT, KeyRecord])
def test_what_everybody_shares_takes_nothing(value: object) -> None:
    assert size_of(value) == 0


def test_blocks_are_what_allocators_hand_out() -> None:
    assert [block(size) for size in (1, 16, 17, 512, 513, 1000)] == [16, 16, 32, 512, 528, 1008]


@pytest.mark.parametrize("length", [20, 3000, 100_000])
@pytest.mark.parametrize("pack", [orjson.dumps, lambda text: zstandard.ZstdCompressor(level=1).compress(text.encode())])
def test_a_shrunk_text_holds_no_more_than_itself(pack: Callable[[str], bytes], length: int) -> None:
    text = "".join(map(chr, (33 + (i * i * 7919 + i) % 90 for i in range(length)))).replace("\\", "a").replace('"', "b")
    assert shrunk(pack(text)) == pack(text)
    content = len(pack(text))
    kept: list[bytes] = []
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept.extend(shrunk(pack(text)) for _ in range(10))
    held = (tracemalloc.get_traced_memory()[0] - before) / 10
    tracemalloc.stop()
    assert held <= content + 33 + 200
