"""The HTTP door over a real socket: what leaves it, and what it does with what is not a request."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from gateway.core.readiness import ReadyState
from gateway.core.types import Limits
from gateway.ports import UpstreamReply, UpstreamRequest
from gateway.web.connections import ConnectionTable
from gateway.web.gateway_api import GatewayApi
from gateway.web.health import pages
from gateway.web.proxy import Proxy
from gateway.web.server import Server
from gateway.web.unsent_answers import UnsentAnswers
from tests.flow.harness import BODY, KEY, Harness

PACE = 1000
LIMITS = Limits(requests_per_minute=1000, concurrent=8, units_per_day=100_000)
AUTH = {"Authorization": f"Bearer {KEY.text}"}
Play = Callable[[Harness, aiohttp.ClientSession, str], Awaitable[None]]


def run(
    play: Play,
    *,
    ready: bool = True,
    keepalive_s: float = 75.0,
    header_s: float = 15.0,
    room: int = 1000,
    per_address: int | None = None,
    **harness: Any,
) -> None:
    def checks() -> ReadyState:
        return ReadyState(() if ready else ("draining",), ("cache",))

    async def whole() -> None:
        h = await Harness(limits=LIMITS, **harness).opened()
        proxy = Proxy(
            h.flow.pipeline,
            GatewayApi(h.flow.explainer),
            h.flow.responder,
            pages(checks),
            h.memory.clock,
            h.memory.meter,
            body_pace=h.settings.request.body_pace if "settings" in harness else PACE,
        )
        limit = h.settings.request.max_body_bytes
        table = ConnectionTable(lambda: room, per_address, h.memory.meter)
        unsent = UnsentAnswers(h.settings.listen.unsent_bytes, h.settings.listen.answer_pace, h.memory.meter)
        times = {"keepalive_s": keepalive_s, "header_s": header_s, "linger_s": 0.05}
        server = Server(proxy, table=table, unsent=unsent, max_body_bytes=limit, **times)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession() as session:
            await play(h, session, f"http://{host}:{port}")
        await h.tasks.drain(5.0)
        await runner.cleanup()

    asyncio.run(whole())


async def exchange(url: str, sent: bytes) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    got = await reader.read()
    writer.close()
    await writer.wait_closed()
    return got


def test_answers_have_the_media_type_that_the_sdk_compares_for_equality() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(f"{url}/api/v1/generate_tensor", json=BODY, headers=AUTH) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/json"
            assert response.headers["Cache-Control"] == "private, no-store"
            assert response.headers["Age"] == "0"
            assert response.headers["X-Request-Id"]
            assert response.headers["RateLimit-Policy"].startswith('"user-requests";q=600;w=60, ')

    run(play)


def test_problems_are_problem_documents_with_the_request_named() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(f"{url}/api/v1/generate_tensor", json=BODY) as response:
            assert response.status == 401
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            document = await response.json(content_type=None)
            assert document["instance"].endswith(response.headers["X-Request-Id"])

    run(play)


def test_unknown_paths_wrong_methods_and_media_types() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        for method, path, headers, status in (
            ("POST", "/api/v1/nothing", AUTH, 404),
            ("GET", "/etc/passwd", {}, 404),
            ("GET", "/api/v1/generate_tensor", AUTH, 405),
            ("POST", "/api/v1/generate_tensor", {**AUTH, "Content-Type": "text/plain"}, 415),
            ("POST", "/api/v1/generate_tensor", {**AUTH, "Content-Encoding": "gzip"}, 415),
        ):
            named = {"Content-Type": "application/json", **headers}
            async with session.request(method, url + path, data=b"{}", headers=named) as response:
                assert response.status == status, path

    run(play)


def test_a_body_over_the_limit_is_a_413_with_or_without_its_length() -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b" " * 1000

    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        headers = {**AUTH, "Content-Type": "application/json"}
        for body in (b" " * 20_001, pieces()):
            async with session.post(f"{url}/api/v1/generate_tensor", data=body, headers=headers) as response:
                assert response.status == 413
        async with session.post(f"{url}/api/v1/generate_tensor", data=b" " * 20_000, headers=headers) as response:
            assert response.status == 400
        assert not harness.memory.upstream.requests

    run(play, settings={"request": {"max_body_bytes": 20_000}})


def test_what_is_not_http_is_not_quoted_back() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        secret = b"esmgw_SECRETSECRET"
        for sent in (
            b"POST /api/v1/generate_tensor HTTP/1.1\r\nHost: x\r\nAuthor ization: " + secret + b"\r\n\r\n",
            secret + b"\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\nX: " + secret + b"\r\n\r\n",
        ):
            got = await exchange(url, sent)
            assert got.startswith(b"HTTP/1.1 400 ") or got.startswith(b"HTTP/1.0 400 ")
            assert b"application/problem+json" in got
            assert b"SECRET" not in got

    run(play)


def test_silent_connections_are_closed() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with asyncio.timeout(5):
            assert await exchange(url, b"") == b""
            assert await exchange(url, b"POST / HTTP/1.1\r\nHo") == b""

    run(play, header_s=0.1)


def test_idle_connections_are_closed_after_their_answer() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with asyncio.timeout(5):
            assert b'{"alive":true}' in await exchange(url, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")

    run(play, keepalive_s=0.2, header_s=0.1)


def test_a_body_that_never_ends_is_given_up(monkeypatch: Any) -> None:
    monkeypatch.setattr("gateway.web.request.PACE_WINDOW_S", 0.1)

    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        head = f"POST /api/v1/generate_tensor HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY.text}\r\n"
        sent = head.encode() + b"Content-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{"
        async with asyncio.timeout(15):
            assert (await exchange(url, sent)).startswith(b"HTTP/1.1 408 ")
        assert not harness.memory.upstream.requests

    run(play)


def test_a_caller_who_hangs_up_is_counted_and_a_call_that_waits_is_not_sent() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        gate = asyncio.Event()
        answer = harness.memory.upstream.answer

        async def held(request: UpstreamRequest) -> UpstreamReply:
            await gate.wait()
            reply = answer(request)
            assert isinstance(reply, UpstreamReply)
            return reply

        harness.memory.upstream.answer = held
        for number in range(2):
            body = {**BODY, "num_steps": number + 1}
            with pytest.raises(TimeoutError):
                await session.post(
                    f"{url}/api/v1/generate_tensor", json=body, headers=AUTH, timeout=aiohttp.ClientTimeout(total=0.2)
                )
        async with asyncio.timeout(5):
            while len(harness.memory.access.lines) < 2:
                await asyncio.sleep(0.01)
        assert [(line["status"], line["outcome"]) for line in harness.memory.access.lines] == [(499, "hung_up")] * 2
        assert harness.memory.meter.counts[("esmgw_requests_total", "generate_tensor", "hung_up")] == 2
        gate.set()
        await harness.tasks.drain(5.0)
        assert harness.sent() == 1, "the second had no place at the upstream yet when its caller went away"

    run(play, settings={"upstream": {"url": "http://upstream", "max_concurrent": 1}})


def test_health_pages_say_why_it_is_not_ready_and_what_all_have_lost() -> None:
    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/livez") as response:
            assert response.status == 200
        async with session.get(f"{url}/readyz") as response:
            assert response.status == 503
            assert await response.json() == {"ready": False, "faults": ["draining"], "degraded": ["cache"]}
        async with session.get(f"{url}/") as response:
            assert "POST /api/v1/generate_tensor" in (await response.json())["endpoints"]

    run(play, ready=False)


def test_a_lost_part_that_all_share_takes_nobody_out_and_costs_no_look_at_a_store() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        harness.memory.journal.clear()
        for _ in range(20):
            async with session.get(f"{url}/readyz") as response:
                assert response.status == 200
                assert await response.json() == {"ready": True, "faults": [], "degraded": ["cache"]}
        assert harness.memory.effects() == []

    run(play)


def test_a_fault_of_our_own_is_a_500_without_its_text(caplog: Any) -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        def burst(_: Any) -> Any:
            raise RuntimeError("SECRET SEQUENCE")

        harness.memory.upstream.answer = burst
        async with session.post(f"{url}/api/v1/generate_tensor", json=BODY, headers=AUTH) as response:
            assert response.status == 500
            assert orjson.loads(await response.read())["type"].endswith(":internal")

    run(play)
    assert "RuntimeError" in caplog.text
    assert "SECRET" not in caplog.text


def test_one_users_cookie_reaches_nobody() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        headers = {**AUTH, "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4"}
        async with session.post(f"{url}/api/v1/generate_tensor", json=BODY, headers=headers) as response:
            assert "Set-Cookie" not in response.headers
        assert set(harness.memory.upstream.requests[0].__slots__) == {
            "body",
            "max_answer_bytes",
            "place",
            "secret",
            "target",
            "timeout_s",
        }

    run(play)
