"""Large entries are sealed and opened in slices, with everybody else having a turn; the bytes are the same."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core import entry_codec, namespace_entry, sealing
from gateway.core.cache_directives import NO_DIRECTIVES
from gateway.core.namespace_entry import NamespaceEntry
from gateway.core.types import Answer, DeterminismClass
from gateway.flow.beside import AT_ONCE_UP_TO
from gateway.flow.sealed_entries import sealed, unsealed
from tests.flow.harness import a_call

KEY, NONCE = b"k" * 32, b"n" * 12
SIZES = [10, AT_ONCE_UP_TO - 40, AT_ONCE_UP_TO, AT_ONCE_UP_TO + 1, 3 * AT_ONCE_UP_TO]


def an_answer(size: int) -> Answer:
    return Answer(bytes(i * i % 251 for i in range(1000)) * (size // 1000 + 1), 1.0, DeterminismClass.EXACT, 0.5, "up")


@pytest.mark.parametrize("size", SIZES)
def test_a_large_entry_has_the_bytes_of_one_sealed_at_once(size: int) -> None:
    parts = [b"head", b"x" * size]
    blob = asyncio.run(sealed(KEY, "here", parts, NONCE))
    assert blob == sealing.seal(KEY, "here", b"".join(parts), NONCE)
    pieces = asyncio.run(unsealed(KEY, "here", blob))
    assert pieces is not None
    assert b"".join(pieces) == b"".join(parts)
    assert asyncio.run(unsealed(KEY, "there", blob)) is None
    assert asyncio.run(unsealed(KEY, "here", blob[:-1])) is None


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("cuts", [1, 7, 18, 19, 20, 21, 22, 23, 40, 5000])
def test_an_entry_reads_the_same_however_it_is_cut(cuts: int, compressed: bool) -> None:
    answer = an_answer(20_000)
    answer = entry_codec.compress(answer) if compressed else answer
    whole = entry_codec.to_bytes(answer)
    pieces = [whole[at : at + cuts] for at in range(0, len(whole), cuts)]
    assert entry_codec.from_pieces(pieces) == answer
    assert entry_codec.from_pieces([b"abc", *pieces], begins=3) == answer
    assert entry_codec.size_of_pieces(pieces) >= len(answer.body)
    entry = replace(NamespaceEntry.of(a_call(), NO_DIRECTIVES, answer), body=b"b" * 3000)
    text = b"".join(namespace_entry.to_parts(entry))
    pieces = [text[at : at + cuts] for at in range(0, len(text), cuts)]
    assert namespace_entry.from_pieces(pieces) == entry
    assert namespace_entry.size_of_pieces(pieces) >= len(answer.body)


def test_others_have_a_turn_between_two_slices() -> None:
    async def act() -> int:
        turns = 0
        work = asyncio.ensure_future(sealed(KEY, "here", [b"x" * (16 * AT_ONCE_UP_TO)], NONCE))
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
        blob = await work
        work2 = asyncio.ensure_future(unsealed(KEY, "here", blob))
        while not work2.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(act()) >= 2 * 16 * AT_ONCE_UP_TO // sealing.SLICE_BYTES
