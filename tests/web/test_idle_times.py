"""How long a connection may be silent: in the middle of a head, and between an answer and the next request."""

import asyncio

import aiohttp
import pytest

from tests.flow.harness import Harness
from tests.web.test_bodies import MINE, SMALL, Sender, head
from tests.web.test_server import run

LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
GOOD = head(MINE, f"Content-Length: {len(SMALL)}") + SMALL
REFUSED = head("Bearer esmgw_no", "Content-Length: 2") + b"{}"
HALF = b"POST /api/v1/generate_tensor HTTP/1.1\r\nHost: x\r\nAuthor"


async def closed_after(sender: Sender) -> float:
    """Seconds until the server closes this connection."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(10):
        assert await sender.reader.read() == b""
    sender.close()
    return loop.time() - began


@pytest.mark.parametrize("asked", [LIVE, GOOD, REFUSED], ids=["page", "answer", "refusal"])
@pytest.mark.parametrize("times", [1, 3])
def test_an_idle_connection_is_closed_after_the_keep_alive_time_however_long_a_head_may_take(
    asked: bytes, times: int
) -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        sender = await Sender(url).send()
        for _turn in range(times):
            sender.writer.write(asked)
            await sender.answer()
        assert 0.2 <= await closed_after(sender) < 1.5

    run(play, keepalive_s=0.25, header_s=30.0)


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("half", [HALF, b"P", b"GET /livez HTTP/1.1\r\nHost: x\r\n"])
def test_every_request_has_the_header_time_and_no_more(before: int, half: bytes) -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        sender = await Sender(url).send()
        for _turn in range(before):
            sender.writer.write(GOOD)
            assert await sender.answer() == 200
        sender.writer.write(half)
        assert 0.2 <= await closed_after(sender) < 1.5

    run(play, keepalive_s=30.0, header_s=0.3)


def test_a_head_that_comes_letter_by_letter_gets_no_time_for_each() -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        sender = await Sender(url).send(LIVE)
        assert await sender.answer() == 200
        loop = asyncio.get_running_loop()
        began, closing = loop.time(), asyncio.ensure_future(sender.reader.read())
        for letter in HALF * 20:
            sender.writer.write(bytes([letter]))
            await asyncio.sleep(0.02)
            if closing.done():
                break
        assert 0.2 <= loop.time() - began < 1.5
        closing.cancel()
        sender.close()

    run(play, keepalive_s=30.0, header_s=0.3)


def test_a_head_that_begins_while_the_last_answer_is_made_has_its_time_from_then_on() -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        gate = asyncio.Event()
        answer = harness.memory.upstream.answer

        async def held(request: object) -> object:
            await gate.wait()
            return answer(request)  # type: ignore[arg-type]

        harness.memory.upstream.answer = held  # type: ignore[assignment]
        sender = await Sender(url).send(GOOD)
        while not harness.sent():
            await asyncio.sleep(0.01)
        sender.writer.write(HALF)
        await asyncio.sleep(0.1)
        gate.set()
        assert await sender.answer() == 200
        assert 0.1 <= await closed_after(sender) < 1.5

    run(play, keepalive_s=30.0, header_s=0.3)


def test_a_head_in_two_parts_is_answered_and_then_the_keep_alive_time_counts() -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        sender = await Sender(url).send()
        for _turn in range(2):
            sender.writer.write(GOOD[:30])
            await asyncio.sleep(0.05)
            sender.writer.write(GOOD[30:])
            assert await sender.answer() == 200
        await asyncio.sleep(0.5)
        sender.writer.write(GOOD)
        assert await sender.answer() == 200, "an idle connection was closed after the header time"
        sender.close()

    run(play, keepalive_s=30.0, header_s=0.3)


def test_a_slow_answer_is_not_cut_off_by_either_time() -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        answer = harness.memory.upstream.answer

        async def slow(request: object) -> object:
            await asyncio.sleep(0.6)
            return answer(request)  # type: ignore[arg-type]

        harness.memory.upstream.answer = slow  # type: ignore[assignment]
        sender = await Sender(url).send(GOOD)
        assert await sender.answer() == 200
        sender.close()

    run(play, keepalive_s=0.2, header_s=0.2)
