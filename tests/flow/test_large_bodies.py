"""What is large goes to the reader process, what is small does not; the caller cannot tell which it was."""

import asyncio
from typing import Any

import orjson
import pytest

from gateway.core.types import Response
from gateway.flow.request_parser import REMEMBERED_UP_TO
from tests.flow.harness import BODY, Harness, slug


def play(act: Any) -> Any:
    async def whole() -> Any:
        return await act(await Harness().opened())

    return asyncio.run(whole())


def blank(size: int) -> bytes:
    """The usual body, so many bytes long."""
    text = orjson.dumps(BODY)
    return b"{" + b" " * (size - len(text)) + text[1:]


@pytest.mark.parametrize("size", [1000, 30_000])
def test_a_small_good_body_is_read_at_once(size: int) -> None:
    async def act(harness: Harness) -> None:
        assert (await harness.ask(blank(size))).status == 200
        assert harness.reader.read == []

    play(act)


@pytest.mark.parametrize("size", [40_000, 600_000, REMEMBERED_UP_TO + 1])
def test_a_large_body_is_read_by_the_reader(size: int) -> None:
    async def act(harness: Harness) -> tuple[Response, Response]:
        first, again = await harness.ask(blank(size)), await harness.ask(blank(size))
        read = [("body", size)] if size <= REMEMBERED_UP_TO else [("body", size)] * 2
        assert harness.reader.read == read
        return first, again

    first, again = play(act)
    assert (first.status, again.status, first.body) == (200, 200, again.body)


@pytest.mark.parametrize(("size", "there"), [(1000, False), (3000, True)])
def test_a_fault_is_looked_for_beside_the_loop(size: int, there: bool) -> None:
    async def act(harness: Harness) -> None:
        response = await harness.ask(blank(size).replace(b'"sequence":[0', b'"sequence":[99'))
        assert slug(response) == "call-invalid"
        assert bool(harness.reader.read) is there

    play(act)


def test_a_body_that_takes_too_much_is_the_callers_problem() -> None:
    async def act(harness: Harness) -> None:
        harness.reader.too_much.add(blank(50_000))
        response = await harness.ask(blank(50_000))
        assert (response.status, slug(response)) == (422, "body-too-complex")
        assert (await harness.ask(blank(60_000))).status == 200

    play(act)


def test_a_large_answer_is_checked_by_the_reader_and_a_small_one_at_once() -> None:
    from gateway.ports import UpstreamReply

    large = orjson.dumps({"outputs": {"sequence": [0] * 400_000}})

    async def act(harness: Harness) -> None:
        harness.memory.upstream.answer = lambda _: UpstreamReply(200, "application/json", None, large)
        assert (await harness.ask()).status == 200
        assert harness.reader.read == [("answer", len(large))]
        harness.reader.too_much.add(large)
        response = await harness.ask({"num_steps": 1})
        assert slug(response) == "upstream-answer-bad"

    play(act)
