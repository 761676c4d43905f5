"""ETag, 304 and zstd, from the request to the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import zstandard

from gateway.core.types import Response
from tests.flow.harness import Harness, serial, status_of

LONG = {"inputs": {"sequence": [0, *([5, 32] * 600), 2]}}


def run(play: Callable[[Harness], Awaitable[None]], **harness: Any) -> None:
    async def whole() -> None:
        await play(await Harness(**harness).opened())

    asyncio.run(whole())


def unpacked(response: Response) -> bytes:
    packed = response.headers.get("Content-Encoding") == "zstd"
    return zstandard.decompress(response.body) if packed else response.body


@pytest.mark.parametrize(
    "accepted, packed",
    [
        ("zstd", True),
        ("gzip, deflate, br, zstd", True),
        ("gzip;q=0.5, ZSTD;q=0.9", True),
        ("zstd; q=0.001", True),
        ("zstd;q=1.000", True),
        ("zstd;q=0", False),
        ("zstd; q=0.0", False),
        ("gzip, zstd;q=0.000", False),
        ("gzip, deflate", False),
        ("xzstd, zstd-2", False),
        ("", False),
    ],
)
def test_whoever_accepts_zstd_gets_what_is_stored_and_all_get_the_same_bytes_of_answer(
    accepted: str, packed: bool
) -> None:
    async def play(harness: Harness) -> None:
        plain = await harness.ask(LONG)
        assert "Content-Encoding" not in plain.headers
        for _ in range(2):
            response = await harness.ask(LONG, accept_encoding=accepted)
            assert ("Content-Encoding" in response.headers) is packed
            assert (len(response.body) < len(plain.body) / 3) is packed
            assert unpacked(response) == plain.body
        fresh = await harness.ask({**LONG, "num_steps": 1}, accept_encoding=accepted)
        assert status_of(fresh).startswith("fwd=miss")
        assert unpacked(fresh) == (await harness.ask({**LONG, "num_steps": 1})).body
        small = await harness.ask(accept_encoding=accepted)
        assert "Content-Encoding" not in small.headers

    run(play)


def test_what_is_stored_is_small_and_comes_back_in_another_process() -> None:
    async def play(harness: Harness) -> None:
        plain = await harness.ask(LONG)
        (blob, _) = next(iter(harness.memory.cache.entries.values()))
        assert len(blob) < len(plain.body) / 3
        other = Harness()
        other.memory.cache.entries = harness.memory.cache.entries
        await other.opened()
        again = await other.ask(LONG, accept_encoding="zstd")
        assert unpacked(again) == plain.body
        assert again.headers["ETag"] == plain.headers["ETag"][:-1] + '-zstd"'

    run(play)


def test_a_304_says_that_the_answer_is_the_one_the_caller_has_for_hits_and_computed_ones() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask(LONG)
        tag = first.headers["ETag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}'):
            response = await harness.ask(LONG, if_none_match=known)
            assert (response.status, response.body, response.headers["ETag"]) == (304, b"", tag)
            assert status_of(response).startswith("hit; ")
            assert response.headers["X-Gateway-Receipt"] == first.headers["X-Gateway-Receipt"]
        packed = await harness.ask(LONG, if_none_match=tag, accept_encoding="zstd")
        assert (packed.status, packed.headers["ETag"]) == (304, tag[:-1] + '-zstd"')
        assert (await harness.ask(LONG, if_none_match=packed.headers["ETag"])).status == 304
        assert harness.sent() == 1
        changed = await harness.ask(LONG, if_none_match=tag, cache_control="no-cache")
        assert changed.status == 200
        assert serial(changed) != serial(first)

    run(play)


def test_a_tag_of_another_answer_is_not_taken_for_this_one_s() -> None:
    async def play(harness: Harness) -> None:
        first, other = await harness.ask(), await harness.ask({"num_steps": 1})
        assert first.headers["ETag"] != other.headers["ETag"]
        assert (await harness.ask(if_none_match=other.headers["ETag"])).status == 200

    run(play)


def test_a_304_is_permitted_and_charged_like_any_answer() -> None:
    async def play(harness: Harness) -> None:
        tag = (await harness.ask()).headers["ETag"]
        assert (await harness.ask(if_none_match=tag, authorization="Bearer nobody")).status == 401
        stranger = harness.person("eve", models=())
        await harness.flow.poller.poll()
        assert (await harness.ask(if_none_match=tag, **stranger)).status == 403
        await harness.ask(if_none_match=tag)
        assert harness.memory.access.lines[-1]["status"] == 304
        assert harness.memory.access.lines[-1]["bytes"] == 0

    run(play)
