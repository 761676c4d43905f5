"""Large bodies of one user delay another's by no more than the one that is being read."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.core.answer_model import JudgeConfig, Judgement, Question
from gateway.core.endpoint import ParseConfig
from gateway.core.problems import BODY_TOO_COMPLEX, Problem
from gateway.core.types import Call
from gateway.flow.reader_queue import ReaderQueue
from tests.fakes.reader import FakeReader
from tests.fakes.world import FakeMeter
from tests.flow.harness import a_call, turns

QUESTION = Question("logits", "/api/v1/logits", b"{}", 5)
LARGE, SMALL = b"L" * 32_000, b"s" * 560


class SlowReader(FakeReader):
    """Reads for as long as it is not told to go on."""

    def __init__(self) -> None:
        super().__init__(ParseConfig({}))
        self.begun: list[bytes] = []
        self.reading: asyncio.Future[None] | None = None

    async def call(self, endpoint: str, query: str, raw: bytes) -> Call:
        self.begun.append(raw)
        self.reading = asyncio.get_running_loop().create_future()
        await self.reading
        if raw in self.too_much:
            raise Problem(BODY_TOO_COMPLEX)
        return a_call(name=raw[:5].decode())

    async def judged(self, question: Question, body: bytes, config: JudgeConfig) -> Judgement:
        self.begun.append(body)
        return Judgement("fit")

    async def explained(
        self, endpoint: str, query: str, raw: bytes, *, in_full: bool
    ) -> tuple[Call, Mapping[str, Any]]:
        return await self.call(endpoint, query, raw), {}

    async def go_on(self) -> None:
        assert self.reading is not None
        self.reading.set_result(None)
        await turns()


class Desk:
    """A queue, its reader, and who has asked."""

    def __init__(self) -> None:
        self.reader, self.meter = SlowReader(), FakeMeter()
        self.queue = ReaderQueue(self.reader, self.meter)

    async def asks(self, user: str, raw: bytes) -> "asyncio.Task[Call]":
        task = asyncio.ensure_future(self.queue.call(user, "fold", "", raw))
        await turns()
        return task

    async def finish(self) -> None:
        while self.reader.reading is not None and not self.reader.reading.done():
            await self.reader.go_on()


def test_another_users_body_waits_for_the_one_being_read_alone() -> None:
    async def act() -> None:
        desk = Desk()
        asked = [await desk.asks("ada", LARGE + bytes([i])) for i in range(5)]
        asked.append(await desk.asks("bob", SMALL))
        await desk.finish()
        await asyncio.gather(*asked)
        assert desk.reader.begun[:2] == [LARGE + b"\0", SMALL]
        assert len(desk.reader.begun) == 6

    asyncio.run(act())


def test_who_comes_again_and_again_with_little_goes_before_much_of_another() -> None:
    async def act() -> None:
        desk = Desk()
        asked = [await desk.asks("ada", LARGE) for _ in range(3)]
        asked += [await desk.asks("bob", SMALL) for _ in range(10)]
        await desk.finish()
        await asyncio.gather(*asked)
        assert desk.reader.begun == [LARGE, *[SMALL] * 10, LARGE, LARGE]

    asyncio.run(act())


def test_answers_have_the_share_of_one_user() -> None:
    async def act() -> None:
        desk = Desk()
        asked = [await desk.asks("ada", LARGE) for _ in range(3)]
        answer = asyncio.ensure_future(desk.queue.judged(QUESTION, LARGE, JudgeConfig()))
        await turns()
        await desk.reader.go_on()
        assert (await answer).passes
        await desk.finish()
        await asyncio.gather(*asked)

    asyncio.run(act())


@pytest.mark.parametrize("position", [0, 1, 2])
def test_who_hangs_up_leaves_nobody_waiting(position: int) -> None:
    async def act() -> None:
        desk = Desk()
        asked = [await desk.asks("ada", LARGE) for _ in range(3)]
        asked.append(await desk.asks("bob", SMALL))
        asked[position].cancel()
        await turns()
        await desk.finish()
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in done] == [i == position for i in range(4)]
        last = await desk.asks("carl", SMALL)
        await desk.finish()
        assert await last

    asyncio.run(act())


def test_who_hangs_up_in_the_moment_of_their_turn_passes_it_on() -> None:
    async def act() -> None:
        desk = Desk()
        first, second = await desk.asks("ada", LARGE), await desk.asks("bob", LARGE)
        third = await desk.asks("carl", SMALL)
        assert desk.reader.reading is not None
        desk.reader.reading.set_result(None)
        served = desk.queue._serving
        while desk.queue._serving is served:
            await asyncio.sleep(0)
        second.cancel()  # it has its turn, and does not know it yet
        await first
        await turns()
        await desk.finish()
        assert desk.reader.begun == [LARGE, SMALL]
        assert await asyncio.wait_for(third, 5)

    asyncio.run(act())


def test_a_refused_body_passes_its_turn_on() -> None:
    async def act() -> None:
        desk = Desk()
        desk.reader.too_much.add(LARGE)
        first, second = await desk.asks("ada", LARGE), await desk.asks("bob", SMALL)
        await desk.finish()
        with pytest.raises(Problem):
            await first
        assert await second

    asyncio.run(act())
