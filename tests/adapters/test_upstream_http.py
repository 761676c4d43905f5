"""The way to the upstream, against the sandbox's faults and a raw server: what comes back, and what was sent."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import aiohttp
import orjson
import pytest

from gateway.adapters.upstream_http import HttpUpstream
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from gateway.sandbox.app import create_app, start

BODY = orjson.dumps(
    {
        "model": "esm3-open-2024-03",
        "inputs": {"sequence": [0, 32, 5, 32, 2]},
        "track": "sequence",
        "num_steps": 1,
        "temperature": 0,
    }
)
Play = Callable[[HttpUpstream, str], Awaitable[None]]


def asked(**changes: Any) -> UpstreamRequest:
    values: dict[str, Any] = {"body": BODY, "secret": "upstream-secret", "max_answer_bytes": 10_000_000}
    return UpstreamRequest("/api/v1/generate_tensor", **{**values, **changes})


def client(url: str, **deadlines: float) -> HttpUpstream:
    times = {"connect_s": 2.0, "first_byte_s": 2.0, "total_s": 4.0, "keepalive_s": 5.0, **deadlines}
    return HttpUpstream(url, **times)


def beside_the_sandbox(play: Play, fault: Mapping[str, Any] | None = None, **options: Any) -> None:
    async def whole() -> None:
        running = await start(create_app())
        upstream = client(running.url, **options)
        if fault is not None:
            rules = {"rules": [dict(fault)]}
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{running.url}/__sandbox/faults", json=rules) as response,
            ):
                assert response.status == 200
        try:
            await play(upstream, running.url)
        finally:
            await upstream.close()
            await running.stop()

    asyncio.run(whole())


async def raw_server(answer: bytes, seen: list[bytes]) -> asyncio.Server:
    """Answers every request with these bytes, and keeps what it was sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head + await reader.readexactly(len(BODY)))
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def beside_a_raw_server(answer: bytes, count: int = 1) -> tuple[list[bytes], list[UpstreamReply | UpstreamLoss]]:
    async def whole() -> tuple[list[bytes], list[UpstreamReply | UpstreamLoss]]:
        seen: list[bytes] = []
        server = await raw_server(answer, seen)
        upstream = client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        replies = [await upstream.send(asked()) for _ in range(count)]
        await upstream.close()
        server.close()
        await server.wait_closed()
        return seen, replies

    return asyncio.run(whole())


def test_a_success_comes_back_whole() -> None:
    async def play(upstream: HttpUpstream, url: str) -> None:
        reply = await upstream.send(asked())
        assert isinstance(reply, UpstreamReply)
        assert (reply.status, reply.media_type) == (200, "application/json")
        assert orjson.loads(reply.body)["outputs"]["sequence"][2] == 5

    beside_the_sandbox(play)


@pytest.mark.parametrize(
    "lines, forbids",
    [
        (b"", False),
        (b"Cache-Control: no-store\r\n", True),
        (b"cache-control: No-StOrE\r\n", True),
        (b"Cache-Control: max-age=10000, no-store\r\n", True),
        (b"Cache-Control: private\r\nCache-Control: no-store\r\n", True),
        (b'Cache-Control: private="no-store", max-age=0\r\n', False),
        (b"Pragma: no-store\r\n", False),
    ],
)
def test_whether_the_upstream_forbids_to_keep_its_answer_comes_back_with_it(lines: bytes, forbids: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n" + lines
    (reply,) = beside_a_raw_server(head + b"\r\n{}")[1]
    assert isinstance(reply, UpstreamReply)
    assert reply.no_store is forbids


@pytest.mark.parametrize(
    "fault, loss",
    [
        ({"drop": "before_work"}, UpstreamLoss("connection lost", sent=True, timed_out=False)),
        ({"drop": "after_work"}, UpstreamLoss("connection lost", sent=True, timed_out=False)),
        ({"truncate_at": 20}, UpstreamLoss("connection lost", sent=True, timed_out=False)),
        ({"first_byte_s": 30.0}, UpstreamLoss("no answer in time", sent=True, timed_out=True)),
        ({"latency_s": 30.0}, UpstreamLoss("no answer in time", sent=True, timed_out=True)),
        ({"middle_s": 30.0}, UpstreamLoss("no answer in time", sent=True, timed_out=True)),
    ],
)
def test_a_reply_that_is_not_whole_is_a_loss_after_the_request_was_sent(
    fault: dict[str, Any], loss: UpstreamLoss
) -> None:
    async def play(upstream: HttpUpstream, url: str) -> None:
        assert await upstream.send(asked()) == loss

    beside_the_sandbox(play, fault, first_byte_s=0.2, total_s=0.4)


def test_no_connection_is_a_loss_before_anything_was_sent() -> None:
    async def whole() -> None:
        upstream = client("http://127.0.0.1:9")
        assert await upstream.send(asked()) == UpstreamLoss("no connection", sent=False, timed_out=False)
        await upstream.close()

    asyncio.run(whole())


@pytest.mark.parametrize("seconds", [0.2, 0.5])
def test_a_call_whose_time_ends_before_there_is_a_connection_is_a_loss_before_anything_was_sent(seconds: float) -> None:
    async def whole() -> None:
        deaf = socket.create_server(("127.0.0.1", 0), backlog=0)
        crowd = [socket.socket() for _ in range(4)]
        for each in crowd:  # until its queue is full: the next ones get no answer at all
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        upstream = client(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        loss = await upstream.send(asked(timeout_s=seconds))
        assert loss == UpstreamLoss("no connection", sent=False, timed_out=True)
        await upstream.close()
        for each in (*crowd, deaf):
            each.close()

    asyncio.run(whole())


@pytest.mark.parametrize("limit", [100, 150_000])
def test_an_answer_over_the_limit_is_dropped(limit: int) -> None:
    async def play(upstream: HttpUpstream, url: str) -> None:
        loss = await upstream.send(asked(max_answer_bytes=limit))
        assert loss == UpstreamLoss("too_large", sent=True, timed_out=False)
        assert isinstance(await upstream.send(asked(max_answer_bytes=400_000)), UpstreamReply)

    beside_the_sandbox(play, {"pad_bytes": 200_000})


def test_an_endless_answer_without_a_length_is_cut_off() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b" " * 11_000_000
    _, replies = beside_a_raw_server(answer)
    assert replies == [UpstreamLoss("too_large", sent=True, timed_out=False)]


def test_only_allow_listed_headers_are_sent_and_pickle_is_not_asked_for() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"
    seen, replies = beside_a_raw_server(answer)
    names = {line.split(b":")[0].lower() for line in seen[0].split(b"\r\n\r\n")[0].split(b"\r\n")[1:]}
    assert names == {
        b"host",
        b"user-agent",
        b"accept",
        b"authorization",
        b"content-type",
        b"accept-encoding",
        b"content-length",
    }
    assert b"Accept: application/json\r\n" in seen[0]
    assert seen[0].endswith(BODY)
    assert isinstance(replies[0], UpstreamReply)
    assert replies[0].media_type == "application/json"


def test_no_cookie_goes_from_one_call_to_the_next() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: who=ada\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    seen, _ = beside_a_raw_server(answer, count=2)
    assert len(seen) == 2
    assert b"cookie" not in seen[1].lower()


def test_a_redirect_is_not_followed_with_our_key() -> None:
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    seen, replies = beside_a_raw_server(answer)
    assert len(seen) == 1
    assert isinstance(replies[0], UpstreamReply)
    assert replies[0].status == 307


@pytest.mark.parametrize("field, seconds", [("30", 30.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("²", None)])
def test_retry_after_is_read_in_seconds(field: str, seconds: float | None) -> None:
    head = f"HTTP/1.1 429 Too Many\r\nRetry-After: {field}\r\nContent-Length: 0\r\n\r\n"
    _, replies = beside_a_raw_server(head.encode())
    assert isinstance(replies[0], UpstreamReply)
    assert replies[0].retry_after_s == seconds


def test_a_large_body_arrives_whole() -> None:
    async def play(upstream: HttpUpstream, url: str) -> None:
        body = BODY[:-1] + b" " * 2_000_000 + b"}"
        assert isinstance(await upstream.send(asked(body=body)), UpstreamReply)
        async with aiohttp.ClientSession() as session, session.get(f"{url}/__sandbox/calls") as response:
            assert (await response.json())["last"][0]["body_bytes"] == len(body)

    beside_the_sandbox(play)


def test_the_key_is_in_no_repr() -> None:
    assert "upstream-secret" not in repr(asked())
    assert "sequence" not in repr(asked())


def test_a_call_gets_no_more_time_than_it_has_left() -> None:
    async def play(upstream: HttpUpstream, _: str) -> None:
        late = replace(asked(), timeout_s=0.2)
        assert await upstream.send(late) == UpstreamLoss("no answer in time", sent=True, timed_out=True)

    beside_the_sandbox(play, {"latency_s": 3.0})


def test_without_a_descriptor_nothing_was_sent_and_it_is_our_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(upstream: HttpUpstream, _: str) -> None:
        for number in (errno.EMFILE, errno.ENFILE):
            monkeypatch.setattr(socket, "socket", Mock(side_effect=OSError(number, "no descriptor")))
            assert await upstream.send(asked()) == UpstreamLoss("own_limit", sent=False, timed_out=False)
            monkeypatch.undo()

    beside_the_sandbox(play)
