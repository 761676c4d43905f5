"""Large answers that nobody fetches: how many bytes of them there are, who loses one, and which are too slow."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
import pytest

from gateway.ports import UpstreamReply
from gateway.web import unsent_answers
from gateway.web.unsent_answers import UnsentAnswers
from tests.fakes.world import FakeMeter
from tests.flow.harness import BODY, Harness
from tests.flow.harness import answering as answered
from tests.web.test_bodies import MIB, MINE, Sender, head, until
from tests.web.test_server import AUTH, run

UNSENT = ("esmgw_unsent_answer_bytes",)
ROOM = ("esmgw_unsent_answers_dropped_total", "room")
PACE = ("esmgw_unsent_answers_dropped_total", "pace")
PATH = "/api/v1/generate_tensor"


class Line:
    """A connection whose caller has taken `taken` bytes."""

    def __init__(self, dropped: list[str], name: str) -> None:
        self.dropped, self.name, self.taken = dropped, name, 0

    def drop(self) -> None:
        self.dropped.append(self.name)


class Lines:
    def __init__(self, max_bytes: int, pace: int = 1) -> None:
        self.dropped, self.meter = list[str](), FakeMeter()
        self.answers = UnsentAnswers(max_bytes, pace, self.meter)
        self.lines: dict[str, Line] = {}

    def send(self, name: str, user: str, size: int) -> None:
        line = self.lines[name] = Line(self.dropped, name)
        self.answers.begin(line, user, size, lambda: line.taken)

    def sent(self, name: str) -> None:
        self.answers.end(self.lines[name])


def looped(play: Callable[[], Any]) -> None:
    async def whole() -> None:
        await asyncio.wait_for(play(), 20)

    asyncio.run(whole())


def test_over_the_bound_who_has_the_most_loses_the_oldest() -> None:
    async def play() -> None:
        lines = Lines(100)
        for number in range(3):
            lines.send(f"greedy{number}", "greedy", 30)
        lines.send("other0", "other", 10)
        assert lines.dropped == []
        lines.send("other1", "other", 20)
        assert lines.dropped == ["greedy0"]
        assert lines.meter.gauges[UNSENT] == 90
        lines.send("other2", "other", 35)
        assert lines.dropped == ["greedy0", "other0", "greedy1"]
        assert lines.meter.gauges[UNSENT] == 85
        assert lines.meter.counts[ROOM] == 3

    looped(play)


def test_an_answer_above_the_bound_is_sent_alone() -> None:
    async def play() -> None:
        lines = Lines(100)
        lines.send("small", "a", 10)
        lines.send("huge", "b", 1000)
        assert lines.dropped == ["huge"]
        lines.sent("small")
        lines.send("huge again", "b", 1000)
        assert lines.dropped == ["huge"]

    looped(play)


def test_what_was_sent_counts_no_more_and_is_never_dropped() -> None:
    async def play() -> None:
        lines = Lines(100)
        for number in range(50):
            lines.send(f"{number}", "a", 60)
            lines.sent(f"{number}")
        lines.sent("0")
        assert lines.dropped == []
        assert lines.meter.gauges[UNSENT] == 0

    looped(play)


def test_who_takes_less_than_the_pace_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsent_answers, "PACE_WINDOW_S", 0.2)
    monkeypatch.setattr(unsent_answers, "LOOK_S", 0.02)

    async def play() -> None:
        lines = Lines(10**9, pace=1000)
        for name in ("silent", "sipping", "steady", "stopping"):
            lines.send(name, name, 10**6)
        for step in range(60):
            await asyncio.sleep(0.01)
            lines.lines["sipping"].taken += 1
            lines.lines["steady"].taken += 100
            lines.lines["stopping"].taken += 100 if step < 20 else 0
        assert set(lines.dropped[:2]) == {"silent", "sipping"}
        assert lines.dropped[2:] == ["stopping"]
        assert lines.meter.counts[PACE] == 3
        assert lines.meter.gauges[UNSENT] == 10**6

    looped(play)


def large(size: int) -> Callable[[Any], UpstreamReply]:
    numbers = [1_234_567_890_123_456_789] * (size // 20 + 1)

    def answering(request: Any) -> UpstreamReply:
        outputs = orjson.loads(answered(request).body)["outputs"]
        return UpstreamReply(200, "application/json", None, orjson.dumps({"outputs": outputs, "padding": numbers}))

    return answering


def bounded(unsent: int, pace: int = 1000) -> dict[str, Any]:
    return {"listen": {"unsent_bytes": unsent, "answer_pace": pace}}


@pytest.mark.parametrize("closing", [False, True])
def test_answers_that_one_caller_does_not_fetch_take_no_more_than_the_bound(closing: bool) -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        harness.memory.upstream.answer = large(24 * MIB)
        gauges, counts = harness.memory.meter.gauges, harness.memory.meter.counts
        lines = ["Connection: close"] if closing else []
        senders = []
        for number in range(6):
            body = orjson.dumps({**BODY, "num_steps": 1, "temperature": 0.5 + number / 16})
            senders.append(await Sender(url).send(head(MINE, f"Content-Length: {len(body)}", *lines), body))
        await until(lambda: counts.get(ROOM, 0) >= 4)
        assert gauges[UNSENT] <= 60 * MIB
        other = harness.person("grace")
        async with session.post(url + PATH, json=BODY, headers=other) as response:
            assert response.status == 200
            assert len(await response.read()) > 24 * MIB
        for sender in senders:
            sender.close()

    run(play, settings=bounded(60 * MIB))


def test_an_answer_that_is_not_fetched_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsent_answers, "PACE_WINDOW_S", 0.3)
    monkeypatch.setattr(unsent_answers, "LOOK_S", 0.05)

    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        harness.memory.upstream.answer = large(24 * MIB)
        body = orjson.dumps(BODY)
        sender = await Sender(url).send(head(MINE, f"Content-Length: {len(body)}"), body)
        await until(lambda: harness.memory.meter.counts.get(PACE) == 1)
        assert harness.memory.meter.gauges[UNSENT] == 0
        sender.close()
        async with session.post(url + PATH, json=BODY, headers=AUTH) as response:
            assert len(await response.read()) > 24 * MIB

    run(play, settings=bounded(2**30))


@pytest.mark.parametrize("fields", [{}, {"Connection": "close"}])
def test_what_was_fetched_counts_no_more(fields: dict[str, str]) -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        harness.memory.upstream.answer = large(MIB)
        for _ in range(3):
            async with session.post(url + PATH, json=BODY, headers={**AUTH, **fields}) as response:
                assert response.status == 200
                await response.read()
        await until(lambda: harness.memory.meter.gauges[UNSENT] == 0)
        assert ROOM not in harness.memory.meter.counts

    run(play, settings=bounded(2 * MIB))
