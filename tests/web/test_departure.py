"""A worker that stops: it says so, answers whoever still asks, lets go of connections, and cuts nobody off."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from gateway.adapters.sockets import open_sockets
from gateway.core.readiness import ReadyState
from gateway.flow.runtime import BackgroundTasks
from gateway.settings.serving import ListenSettings
from gateway.web.connections import ConnectionTable
from gateway.web.gateway_api import GatewayApi
from gateway.web.health import pages
from gateway.web.proxy import Proxy
from gateway.web.server import Server
from gateway.web.unsent_answers import UnsentAnswers
from gateway.wiring.departure import Departure
from tests.flow.harness import Harness
from tests.web.test_bodies import MINE, SMALL, Sender, head
from tests.web.test_server import LIMITS

GOOD = head(MINE, f"Content-Length: {len(SMALL)}") + SMALL
READY = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"


class Leaving:
    """A worker's server on a socket of its own, and its way out."""

    def __init__(self, harness: Harness, listener: socket.socket, listen: ListenSettings) -> None:
        self.harness, self.listener, self.hurry = harness, listener, asyncio.Event()
        host, port = listener.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        self.table = ConnectionTable(lambda: 1000, None, harness.memory.meter)
        flow, memory = harness.flow, harness.memory
        health = pages(lambda: ReadyState(("draining",) if self.table.draining else (), ()))
        proxy = Proxy(
            flow.pipeline, GatewayApi(flow.explainer), flow.responder, health, memory.clock, memory.meter, 1000
        )
        unsent = UnsentAnswers(2**20, 1, memory.meter)
        times = {"keepalive_s": 75.0, "header_s": 15.0}
        self.server = Server(proxy, table=self.table, unsent=unsent, max_body_bytes=2**20, **times)
        self.runner = web.ServerRunner(self.server, handle_signals=False)
        self.tasks = BackgroundTasks(print)
        self.senders: list[Sender] = []
        self.departure = Departure(self.runner, self.server, self.tasks, [listener], listen)

    async def open(self) -> None:
        await self.runner.setup()
        await web.SockSite(self.runner, self.listener, backlog=8).start()
        self.listener.listen(100)

    def leave(self) -> "asyncio.Future[None]":
        return asyncio.ensure_future(self.departure.leave(self.hurry))

    async def asked(self, *parts: bytes) -> tuple[Sender, int, bytes]:
        sender = await self.connected(*parts)
        return sender, *await told(sender)

    async def connected(self, *parts: bytes) -> Sender:
        self.senders.append(await Sender(self.url).send(*parts))
        return self.senders[-1]


async def told(sender: Sender) -> tuple[int, bytes]:
    """Status and head of one whole answer."""
    async with asyncio.timeout(10):
        got = await sender.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in got.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await sender.reader.readexactly(int(length.split(b":")[1]))
    return int(got.split()[1]), got


def run(play: Callable[[Leaving], Awaitable[None]], lame_duck_s: float = 0.3, drain_s: float = 5.0) -> None:
    async def whole() -> None:
        (listener,) = await open_sockets("127.0.0.1", 0, 1)
        harness = await Harness(limits=LIMITS).opened()
        leaving = Leaving(harness, listener, ListenSettings(lame_duck_s=lame_duck_s, drain_s=drain_s))
        await leaving.open()
        async with asyncio.timeout(20):
            await play(leaving)
        for sender in leaving.senders:
            sender.close()
        await asyncio.sleep(0)

    asyncio.run(whole())


def holding(harness: Harness) -> asyncio.Event:
    """The upstream answers once this is set."""
    gate, answer = asyncio.Event(), harness.memory.upstream.answer

    async def held(request: Any) -> Any:
        await gate.wait()
        return answer(request)

    harness.memory.upstream.answer = held
    return gate


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not fact():
            await asyncio.sleep(0.005)


def test_it_is_not_ready_first_and_serves_on_with_each_connection_closed_after_its_answer() -> None:
    async def play(leaving: Leaving) -> None:
        kept, status, got = await leaving.asked(GOOD)
        assert (status, b"connection: close" in got.lower()) == (200, False)
        ready, status, _ = await leaving.asked(READY)
        assert status == 200
        gone = leaving.leave()
        await asyncio.sleep(0)
        for sender, sent, expected in ((ready, READY, 503), (kept, GOOD, 200)):
            sender.writer.write(sent)
            status, got = await told(sender)
            assert (status, b"\r\nconnection: close\r\n" in got.lower()) == (expected, True)
            assert await sender.reader.read() == b""
        for sent, expected in ((READY, 503), (GOOD, 200), (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200)):
            sender, status, got = await leaving.asked(sent)
            assert (status, b"\r\nconnection: close\r\n" in got.lower()) == (expected, True)
        assert not gone.done()
        await gone
        with pytest.raises(OSError):
            await leaving.connected(READY)

    run(play, lame_duck_s=1.0)


def test_not_ready_says_that_it_is_draining_and_asks_no_store() -> None:
    async def play(leaving: Leaving) -> None:
        leaving.table.draining = True
        async with aiohttp.ClientSession() as session, session.get(f"{leaving.url}/readyz") as response:
            told = {"ready": False, "faults": ["draining"], "degraded": []}
            assert (response.status, orjson.loads(await response.read())) == (503, told)
        await leaving.leave()

    run(play, lame_duck_s=0.0)


def test_an_answer_under_way_is_finished_and_an_idle_connection_does_not_hold_it_up() -> None:
    async def play(leaving: Leaving) -> None:
        gate = holding(leaving.harness)
        under_way = await leaving.connected(GOOD)
        idle, _, _ = await leaving.asked(READY)
        await until(leaving.harness.sent)
        gone = leaving.leave()
        assert await idle.reader.read() == b""
        assert not gone.done()
        gate.set()
        status, got = await told(under_way)
        assert (status, b"\r\nconnection: close\r\n" in got.lower()) == (200, True)
        await gone

    run(play, lame_duck_s=0.1)


@pytest.mark.parametrize("cut", [10, len(GOOD) - len(SMALL), len(GOOD) - 5])
@pytest.mark.parametrize("used", [False, True])
def test_a_request_that_has_begun_to_arrive_is_read_to_its_end_and_answered(cut: int, used: bool) -> None:
    """aiohttp's own way out drops what arrives after it has begun."""

    async def play(leaving: Leaving) -> None:
        sender = await leaving.connected()
        if used:
            sender.writer.write(GOOD)
            assert (await told(sender))[0] == 200
        sender.writer.write(GOOD[:cut])
        await asyncio.sleep(0.05)
        gone = leaving.leave()
        await until(lambda: not leaving.runner.sites)
        await asyncio.sleep(0.2)
        sender.writer.write(GOOD[cut:])
        assert (await told(sender))[0] == 200
        await gone

    run(play, lame_duck_s=0.0)


def test_whoever_waits_in_the_queue_of_the_listener_is_answered() -> None:
    """A closed listener resets whoever was not accepted yet."""

    async def play(leaving: Leaving) -> None:
        callers = [socket.create_connection(leaving.listener.getsockname()) for _ in range(20)]
        gone = leaving.leave()  # not a turn of the loop since they connected
        for caller in callers:
            caller.setblocking(False)
            caller.send(GOOD)
        loop = asyncio.get_running_loop()
        for caller in callers:
            async with asyncio.timeout(5):
                assert (await loop.sock_recv(caller, 20)).startswith(b"HTTP/1.1 200 ")
            caller.close()
        await gone

    run(play, lame_duck_s=0.0)


def test_whoever_has_just_connected_may_still_ask() -> None:
    async def play(leaving: Leaving) -> None:
        fresh = await leaving.connected()
        await until(lambda: len(leaving.table) == 1)
        gone = leaving.leave()
        await until(lambda: not leaving.runner.sites)
        await asyncio.sleep(0.1)
        fresh.writer.write(GOOD)
        assert (await told(fresh))[0] == 200
        silent_for = asyncio.get_running_loop().time()
        await gone
        assert asyncio.get_running_loop().time() - silent_for < 2.0

    run(play, lame_duck_s=0.0)


def test_one_who_says_nothing_does_not_hold_it_up() -> None:
    async def play(leaving: Leaving) -> None:
        silent = await leaving.connected()
        await until(lambda: len(leaving.table) == 1)
        began = asyncio.get_running_loop().time()
        await leaving.leave()
        assert asyncio.get_running_loop().time() - began < 2.0
        assert await silent.reader.read() == b""

    run(play, lame_duck_s=0.0)


def test_in_a_hurry_it_waits_for_no_balancer() -> None:
    async def play(leaving: Leaving) -> None:
        began, gone = asyncio.get_running_loop().time(), leaving.leave()
        await asyncio.sleep(0.05)
        assert not gone.done()
        leaving.hurry.set()
        await gone
        assert asyncio.get_running_loop().time() - began < 3.0

    run(play, lame_duck_s=60.0)


def test_what_is_not_finished_in_time_is_cut_off_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def play(leaving: Leaving) -> None:
        holding(leaving.harness)
        under_way = await leaving.connected(GOOD)
        await until(leaving.harness.sent)
        began = asyncio.get_running_loop().time()
        await leaving.leave()
        assert 0.2 <= asyncio.get_running_loop().time() - began < 3.0
        assert await under_way.reader.read() == b""

    with caplog.at_level(logging.WARNING):
        run(play, lame_duck_s=0.0, drain_s=0.3)
    assert "cut off after listen.drain_s: 1 connections" in caplog.text
