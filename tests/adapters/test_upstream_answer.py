"""Large answers of the upstream: how many are received at the same time, and that one which stops stops no other."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from gateway.adapters import upstream_answer
from gateway.adapters.upstream_http import HttpUpstream
from gateway.flow.large_answers import LargeAnswerPlace, LargeAnswers
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from tests.adapters.test_upstream_http import client

MIB = 2**20
SIZE = 32 * MIB
# What the kernel may hold for a connection, both ends together.
IN_KERNEL = 16 * MIB


class LargeServer:
    """Answers `SIZE` bytes; `/stops` pauses after 2 MiB until `go_on`; counts what it could send, by path."""

    def __init__(self, *, told: bool) -> None:
        self.told, self.sent, self.go_on = told, Counter[str](), asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if self.told:
            response.content_length = SIZE
        await response.prepare(request)
        for number in range(SIZE // MIB):
            if request.path == "/stops" and number == 2:
                await self.go_on.wait()
            await response.write(b"x" * MIB)
            self.sent[request.path] += MIB
        return response


Send = Callable[[str, LargeAnswerPlace], Awaitable[UpstreamReply | UpstreamLoss]]


def beside_the_server(play: Callable[[LargeServer, Send], Awaitable[None]], *, told: bool = True) -> None:
    async def whole() -> None:
        server = LargeServer(told=told)
        app = web.Application()
        app.router.add_post("/{name}", server.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        upstream: HttpUpstream = client("http://{}:{}".format(*runner.addresses[0][:2]), total_s=30.0)

        async def send(path: str, place: LargeAnswerPlace) -> UpstreamReply | UpstreamLoss:
            return await upstream.send(UpstreamRequest(path, b"{}", "s", 2 * SIZE, 30.0, place))

        try:
            await asyncio.wait_for(play(server, send), 25)
        finally:
            server.go_on.set()
            await upstream.close()
            await runner.cleanup()

    asyncio.run(whole())


def is_whole(reply: UpstreamReply | UpstreamLoss) -> bool:
    return isinstance(reply, UpstreamReply) and reply.body == b"x" * SIZE


@pytest.mark.parametrize("told", [True, False])
def test_without_a_place_no_more_than_a_mebibyte_is_taken(told: bool) -> None:
    async def play(server: LargeServer, send: Send) -> None:
        answers = LargeAnswers(1)
        mine = answers.place()
        await mine.take()
        waiting = [asyncio.ensure_future(send(f"/{number}", answers.place())) for number in range(2)]
        await asyncio.sleep(0.5)
        assert max(server.sent.values()) <= IN_KERNEL + 2 * MIB < SIZE
        assert not any(one.done() for one in waiting)
        mine.leave()
        assert is_whole(await waiting[0])

    beside_the_server(play, told=told)


def test_a_place_is_held_until_it_is_left() -> None:
    async def play(server: LargeServer, send: Send) -> None:
        answers = LargeAnswers(1)
        first, second = answers.place(), answers.place()
        assert is_whole(await send("/first", first))
        waiting = asyncio.ensure_future(send("/second", second))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        first.leave()
        first.leave()
        assert is_whole(await waiting)
        third = asyncio.ensure_future(send("/third", answers.place()))
        await asyncio.sleep(0.3)
        assert not third.done()
        second.leave()
        assert is_whole(await third)

    beside_the_server(play)


def test_an_answer_that_stands_still_gives_up_its_place_and_goes_on_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_answer, "STALL_S", 0.1)

    async def play(server: LargeServer, send: Send) -> None:
        answers = LargeAnswers(1)
        place = answers.place()
        stopped = asyncio.ensure_future(send("/stops", place))
        await asyncio.sleep(0.05)
        other = answers.place()
        assert is_whole(await send("/other", other))
        other.leave()
        assert not stopped.done()
        server.go_on.set()
        assert is_whole(await stopped)

    beside_the_server(play)


def test_small_answers_need_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(server: LargeServer, send: Send) -> None:
        answers = LargeAnswers(1)
        await answers.place().take()
        assert is_whole(await send("/small", answers.place()))

    monkeypatch.setattr("tests.adapters.test_upstream_answer.SIZE", MIB)
    beside_the_server(play)
