"""Heads that the parser lets through and that mean nothing here: one answer, said what is wrong, and the end.

What follows such a head on its connection cannot be told from a body, so it is never taken for a request.
"""

import asyncio
import re

import aiohttp
import orjson
import pytest

from tests.flow.harness import Harness
from tests.web.test_bodies import MINE, PATH, SMALL, head
from tests.web.test_server import AUTH, exchange, run

STATUS_LINES = re.compile(rb"HTTP/(\d\.\d) (\d{3}) ")
NEXT = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b'5\r\n{"a":\r\n0\r\n\r\n'


def answers(sent: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Version and status of each answer until the server closes the connection, and all that it sent."""
    got: list[bytes] = []

    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        async with asyncio.timeout(5):
            got.append(await exchange(url, sent))
        assert harness.sent() == 0

    run(play, header_s=2.0, keepalive_s=2.0)
    return STATUS_LINES.findall(got[0]), got[0]


def line(request_line: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join((request_line, *fields, b"", b""))


def kind(answer: bytes) -> str:
    return str(orjson.loads(answer.rpartition(b"\r\n\r\n")[2])["type"]).rpartition(":")[2]


@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b"a<b>",
        b"a\\b",
        b"a/b",
        b"user@a",
        b"a:8o",
        b"a:80:81",
        b"[::1",
        b'a"b',
        b"%zz",
        "é".encode(),
        b"a?b",
        b"a#b",
        b"{a}",
        b"a\x7f",
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_host_that_no_host_has_is_a_400(host: bytes, version: bytes) -> None:
    told, whole = answers(line(b"GET /livez HTTP/" + version, b"Host: " + host) + (NEXT if version == b"1.1" else b""))
    assert [status for _, status in told] == [b"400"]
    assert kind(whole) == "not-http"
    assert host not in whole.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "host",
    [b"a", b"a.b.c", b"a_b:8080", b"127.0.0.1:80", b"[::1]:8080", b"[fe80::1]", b"a%20b", b"A-b.example.", b"", b"a:"],
)
def test_hosts_that_there_are_pass(host: bytes) -> None:
    told, _ = answers(line(b"GET /livez HTTP/1.1", b"Host: " + host, b"Connection: close"))
    assert told == [(b"1.1", b"200")]


@pytest.mark.parametrize(
    "codings",
    [
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: deflate,chunked"],
        [b"Transfer-Encoding: br, chunked"],
        [b"Transfer-Encoding: gzip;q=1, chunked"],
        [b"Transfer-Encoding: identity, chunked"],
    ],
)
def test_a_transfer_coding_that_nobody_decodes_is_a_501(codings: list[bytes]) -> None:
    request = head(MINE, *(each.decode() for each in codings)) + CHUNKED
    told, whole = answers(request + NEXT)
    assert told == [(b"1.1", b"501")]
    assert b"\r\nconnection: close\r\n" in whole.lower()
    assert kind(whole) == "transfer-coding-unknown"


def test_chunked_however_it_is_spelled_is_no_reason_to_refuse() -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        for name in ("chunked", "Chunked", " chunked "):
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMALL), SMALL)
            got = await exchange(url, head(MINE, f"Transfer-Encoding: {name}", "Connection: close") + body)
            assert got.startswith(b"HTTP/1.1 200 ")
        assert harness.sent() == 1

    run(play)


@pytest.mark.parametrize("keep", [b"Connection: keep-alive", b"Connection: close", b"X: y"])
@pytest.mark.parametrize("length", [b"Content-Length: 5", b"Y: z"])
@pytest.mark.parametrize("follows", [NEXT, b""])
def test_http_1_0_with_a_transfer_encoding_is_answered_once_and_closed(
    keep: bytes, length: bytes, follows: bytes
) -> None:
    """RFC 9112 section 6.1: the framing is faulty, even with a Content-Length."""
    request = head(MINE, "Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0")[:-2]
    told, _ = answers(request + keep + b"\r\n" + length + b"\r\n\r\n" + CHUNKED + follows)
    assert [status for _, status in told] == [b"400"]


@pytest.mark.parametrize("method", [b"FOO", b"get", b"Post", b"POSTX", b"BREW", b"*"])
def test_a_method_that_is_not_known_is_a_501(method: bytes) -> None:
    told, whole = answers(line(method + b" /api/v1/generate_tensor HTTP/1.1", b"Host: x") + NEXT)
    assert told == [(b"1.1", b"501")]
    assert kind(whole) == "unknown-method"


@pytest.mark.parametrize(
    "request_line, allow",
    [
        (b"POST /livez", b"GET, HEAD"),
        (b"DELETE /readyz", b"GET, HEAD"),
        (b"POST /", b"GET, HEAD"),
        (b"OPTIONS /livez", b"GET, HEAD"),
        (b"OPTIONS *", b"GET, HEAD, POST"),
        (b"CONNECT x:443", b"GET, HEAD, POST"),
        (b"PROPFIND /api/v1/generate_tensor", b"POST"),
        (b"TRACE /api/v1/generate", b"POST"),
    ],
)
def test_a_known_method_at_the_wrong_place_is_a_405_with_those_that_are_right(
    request_line: bytes, allow: bytes
) -> None:
    told, whole = answers(line(request_line + b" HTTP/1.1", b"Host: x", b"Connection: close"))
    assert told == [(b"1.1", b"405")]
    assert b"\r\nAllow: " + allow + b"\r\n" in whole
    assert kind(whole) == "wrong-method"


def test_after_connect_nothing_is_read_as_a_tunnel_or_as_a_request() -> None:
    told, whole = answers(line(b"CONNECT x:443 HTTP/1.1", b"Host: x:443") + NEXT)
    assert told == [(b"1.1", b"405")]
    assert b"\r\nConnection: close\r\n" in whole


@pytest.mark.parametrize("version", [b"2.0", b"0.9", b"1.2", b"3.0"])
@pytest.mark.parametrize("method", [b"GET /livez", b"POST /api/v1/generate_tensor"])
def test_a_version_that_is_not_spoken_is_a_505_in_one_that_is(method: bytes, version: bytes) -> None:
    told, whole = answers(line(method + b" HTTP/" + version, b"Host: x"))
    assert told == [(b"1.1", b"505")]
    assert kind(whole) == "http-version-unknown"


def test_what_is_no_request_line_at_all_is_no_unknown_method() -> None:
    for sent in (b"esmgw_SECRET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"G\xff / HTTP/1.1\r\n\r\n"):
        told, whole = answers(sent)
        assert [status for _, status in told] == [b"400"]
        assert b"SECRET" not in whole


def test_such_requests_are_counted_and_logged_and_are_no_fault_of_ours() -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        await exchange(url, line(b"GET /livez HTTP/2.0", b"Host: x"))
        await exchange(url, line(b"GET /livez HTTP/1.1", b"Host: a b"))
        outcomes = [line["outcome"] for line in harness.memory.access.lines]
        assert outcomes == ["http-version-unknown", "not-http"]
        assert harness.memory.meter.counts[("esmgw_requests_total", "none", "not-http")] == 1

    run(play)


def test_a_faulty_head_with_a_key_and_a_large_body_reads_none_of_it() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        body = b" " * 3_000_000
        got = await exchange(url, head(MINE, f"Content-Length: {len(body)}").replace(b"Host: x", b"Host: a b") + body)
        assert got.startswith(b"HTTP/1.1 400 ")
        assert not harness.memory.meter.gauges.get(("esmgw_request_body_bytes",))
        async with session.post(url + PATH, data=SMALL, headers={**AUTH, "Content-Type": "application/json"}) as good:
            assert good.status == 200

    run(play)
