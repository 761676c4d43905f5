"""Answers as they leave, byte by byte: the quick way and the older ones say the same."""

import asyncio
import re
from types import SimpleNamespace

import pytest
from aiohttp import web

from gateway.core.types import Response
from gateway.web.connections import ConnectionTable
from gateway.web.reply import SLICE_BYTES, DirectResponse, reply
from gateway.web.server import Server
from gateway.web.unsent_answers import UnsentAnswers
from tests.fakes.world import FakeMeter

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"


def answered(response: Response, *requests: bytes) -> bytes:
    """Everything that the server sends for these requests until it closes the one connection."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return reply(request, response)

    async def whole() -> bytes:
        table = ConnectionTable(lambda: 100, None, FakeMeter())
        unsent = UnsentAnswers(2**30, 1, FakeMeter())
        server = Server(handler, table=table, unsent=unsent, max_body_bytes=1000, keepalive_s=0.05, header_s=0.05)
        runner = web.ServerRunner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        for request in requests:
            writer.write(request)
        got = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()
        await runner.cleanup()
        return got

    return asyncio.run(whole())


def fields(head: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])


@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
def test_two_answers_follow_each_other_whole_on_one_connection(size: int) -> None:
    body = b"x" * size
    got = answered(Response(200, body, {"Age": "3"}), POST + b"\r\n", POST + b"Connection: close\r\n\r\n")
    first, second = re.findall(rb"HTTP/1.1 200 OK\r\n.*?\r\n\r\n", got, re.DOTALL)
    assert got == first + body + second + body
    assert fields(first[:-4])["Content-Length"] == str(size)


def test_both_ways_say_the_same() -> None:
    response = Response(429, b"{}", {"Retry-After": "2"}, "application/problem+json")
    quick, _, _ = answered(response, POST + b"\r\n", POST + b"Connection: close\r\n\r\n").partition(b"\r\n\r\n")
    old, _, _ = answered(response, POST + b"Connection: close\r\n\r\n").partition(b"\r\n\r\n")
    assert quick.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert {**fields(quick), "Connection": "close", "Date": ""} == {**fields(old), "Date": ""}


def test_older_clients_and_other_methods_get_what_they_understand() -> None:
    response = Response(200, b"{}", {})
    assert answered(response, b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n").startswith(b"HTTP/1.0 200 OK\r\n")
    head = answered(response, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert b"Content-Length: 2\r\n" in head


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_a_field_with_a_line_break_never_leaves(value: str) -> None:
    assert answered(Response(200, b"{}", {"Age": value}), POST + b"\r\n") == b""


@pytest.mark.parametrize("status, line", [(413, b"413 Content Too Large"), (422, b"422 Unprocessable Content")])
def test_phrases_are_those_of_the_current_rfc_on_every_python(status: int, line: bytes) -> None:
    response = Response(status, b"{}", {})
    for request in (POST + b"\r\n", POST + b"Connection: close\r\n\r\n"):
        assert answered(response, request).startswith(b"HTTP/1.1 " + line + b"\r\n")


@pytest.mark.parametrize("body", [b"", b"x"])
def test_a_304_ends_with_its_head_and_tells_no_length_and_no_type(body: bytes) -> None:
    response = Response(304, body, {"ETag": '"a"', "Age": "3"})
    quick = answered(response, POST + b"\r\n", POST + b"\r\n", POST + b"Connection: close\r\n\r\n")
    heads = quick.split(b"\r\n\r\n")
    assert [head.split(b"\r\n")[0] for head in heads] == [b"HTTP/1.1 304 Not Modified"] * 3 + [b""]
    for head in heads[:-1]:
        said = fields(head)
        assert not {"Content-Length", "Content-Type", "Transfer-Encoding"} & said.keys()
        assert (said["ETag"], said["Age"]) == ('"a"', "3")


class Transport:
    """What is written to it, piece by piece; it closes after so many."""

    def __init__(self, closes_after: int = 10**9) -> None:
        self.pieces: list[bytes] = []
        self._closes_after = closes_after

    def write(self, data: bytes) -> None:
        self.pieces.append(bytes(data))

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.pieces += map(bytes, parts)

    def is_closing(self) -> bool:
        return len(self.pieces) >= self._closes_after


class Writer:
    output_size = 0

    def __init__(self) -> None:
        self.drained = 0

    async def drain(self) -> None:
        self.drained += 1


def written(size: int, transport: Transport) -> Writer:
    async def act() -> Writer:
        response, writer = DirectResponse(Response(200, b"x" * size, {})), Writer()
        await response.prepare(SimpleNamespace(transport=transport, writer=writer))  # type: ignore[arg-type]
        await response.write_eof()
        return writer

    return asyncio.run(act())


@pytest.mark.parametrize("size", [SLICE_BYTES, SLICE_BYTES + 1, 10 * SLICE_BYTES + 5])
def test_a_large_answer_is_written_in_slices_and_waits_for_its_caller_after_each(size: int) -> None:
    transport = Transport()
    writer = written(size, transport)
    _, *pieces = transport.pieces
    assert b"".join(pieces) == b"x" * size
    assert max(map(len, pieces)) <= SLICE_BYTES
    assert writer.drained == len(pieces)


def test_a_caller_who_hangs_up_within_a_large_answer_is_written_to_no_more() -> None:
    transport = Transport(closes_after=4)
    with pytest.raises(ConnectionResetError):
        written(10 * SLICE_BYTES, transport)
    assert len(transport.pieces) == 4
