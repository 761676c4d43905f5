"""The table of connections: which one goes when room runs out, and over real sockets who notices."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.web.connections import ConnectionTable
from gateway.web.server import QuietConnection
from tests.fakes.world import FakeMeter
from tests.flow.harness import BODY, Harness
from tests.web.test_bodies import MINE, PATH, SMALL, Sender, head, until
from tests.web.test_server import AUTH, run

OPEN = ("esmgw_connections",)
CLOSED = ("esmgw_connections_closed_total", "room")
TOO_MANY = ("esmgw_connections_closed_total", "address")


class Line:
    """A connection that writes its name down when it is dropped."""

    def __init__(self, name: str, dropped: list[str], address: str = "10.0.0.1") -> None:
        self.name, self.dropped, self.address, self.key_accepted = name, dropped, address, False

    def drop(self) -> None:
        self.dropped.append(self.name)


class Lines:
    def __init__(self, room: int, per_address: int | None = None) -> None:
        self.room, self.dropped, self.meter = room, list[str](), FakeMeter()
        self.table = ConnectionTable(lambda: self.room, per_address, self.meter)
        self.lines: dict[str, Line] = {}

    def open(self, *names: str, address: str = "10.0.0.1") -> None:
        for name in names:
            self.lines[name] = Line(name, self.dropped, address)
            self.table.opened(self.lines[name])

    def ask(self, *names: str, key: bool) -> None:
        for name in names:
            self.table.begin(self.lines[name])
            self.lines[name].key_accepted |= key
            self.table.end(self.lines[name])


def test_the_oldest_idle_stranger_goes_first_then_the_oldest_idle_with_a_key() -> None:
    lines = Lines(room=4)
    lines.open("known1", "known2", "stranger1", "stranger2")
    lines.ask("known1", "known2", key=True)
    lines.ask("stranger1", key=False)
    lines.open("new1", "new2", "new3", "new4")
    assert lines.dropped == ["stranger2", "stranger1", "new1", "new2"]
    lines.ask("new3", "new4", key=True)
    lines.ask("known1", key=True)
    lines.open("new5")
    assert lines.dropped[4:] == ["known2"]
    assert lines.meter.gauges[OPEN] == 4
    assert lines.meter.counts[CLOSED] == 5


def test_one_at_work_is_never_closed_and_where_all_are_the_newcomer_is_turned_away() -> None:
    lines = Lines(room=2)
    lines.open("a", "b")
    for name in "ab":
        lines.table.begin(lines.lines[name])
    lines.open("c", "d")
    assert lines.dropped == ["c", "d"]
    lines.table.end(lines.lines["a"])
    lines.open("e")
    assert lines.dropped == ["c", "d", "a"]


def test_one_that_was_closed_while_at_work_does_not_come_back() -> None:
    lines = Lines(room=2)
    lines.open("a")
    lines.table.begin(lines.lines["a"])
    lines.table.closed(lines.lines["a"])
    lines.table.end(lines.lines["a"])
    lines.table.closed(lines.lines["a"])
    assert len(lines.table) == lines.meter.gauges[OPEN] == 0


def test_room_is_asked_for_anew_and_a_lower_limit_is_obeyed() -> None:
    lines = Lines(room=10)
    lines.open(*"abcdefgh")
    lines.room = 3
    lines.open("i")
    assert lines.dropped == list("abcdef")


def test_an_address_has_no_more_than_its_ceiling_and_others_are_not_concerned() -> None:
    lines = Lines(room=100, per_address=2)
    lines.open("a", "b", "c")
    lines.open("d", address="10.0.0.2")
    assert lines.dropped == ["c"]
    lines.table.closed(lines.lines["c"])
    lines.table.closed(lines.lines["a"])
    lines.open("e", "f")
    assert lines.dropped == ["c", "f"]
    assert lines.meter.counts[TOO_MANY] == 2
    for name in "bde":
        lines.table.closed(lines.lines[name])
    assert not lines.table._by_address


ACT = st.tuples(st.sampled_from(["open", "open", "begin", "end", "key", "close"]), st.integers(0, 30))


@settings(max_examples=200, deadline=None)
@given(st.lists(ACT, max_size=80), st.integers(1, 6))
def test_whatever_happens_no_more_are_open_than_there_is_room_for_and_none_at_work_is_dropped(
    acts: list[tuple[str, int]], room: int
) -> None:
    lines, busy = Lines(room), set[str]()
    for number, (what, which) in enumerate(acts):
        there = [name for name in lines.lines if name not in lines.dropped]
        if what == "open":
            lines.open(f"{number}")
            assert not busy & set(lines.dropped)
        elif there:
            name = there[which % len(there)]
            if what == "begin" and name not in busy:
                busy.add(name)
                lines.table.begin(lines.lines[name])
            elif what == "end" and name in busy:
                busy.remove(name)
                lines.table.end(lines.lines[name])
            elif what == "key":
                lines.lines[name].key_accepted = True
            elif what == "close":
                busy.discard(name)
                lines.table.closed(lines.lines.pop(name))
        assert len(lines.table) <= max(room, len(busy))
        assert len(lines.table) == len([name for name in lines.lines if name not in lines.dropped])


LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
OPENERS: dict[str, tuple[bytes, ...]] = {
    "silent": (),
    "half a head": (b"POST /api/v1/generate_tensor HTTP/1.1\r\nHost: x\r\nAuthor",),
    "after a 401": (head("Bearer esmgw_no", "Content-Length: 2"), b"{}"),
    "after /livez": (LIVE,),
    "an unread body": (head("Bearer esmgw_no", "Content-Length: 900000"), b"{"),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_a_hundred_idle_strangers_leave_room_for_who_has_a_key(opener: str) -> None:
    async def play(harness: Harness, _: aiohttp.ClientSession, url: str) -> None:
        kept = await Sender(url).send(head(MINE, f"Content-Length: {len(SMALL)}"), SMALL)
        assert await kept.answer() == 200
        strangers = [await Sender(url).send(*OPENERS[opener]) for _ in range(100)]
        counts = harness.memory.meter.counts
        await until(lambda: counts[CLOSED] >= 91)
        fresh = await Sender(url).send(head(MINE, f"Content-Length: {len(SMALL)}"), SMALL)
        assert await fresh.answer() == 200
        kept.writer.write(head(MINE, f"Content-Length: {len(SMALL)}") + SMALL)
        async with asyncio.timeout(5):
            assert await kept.answer() == 200
        for each in (kept, fresh, *strangers):
            each.close()
        await until(lambda: harness.memory.meter.gauges[OPEN] == 0)

    run(play, room=10, keepalive_s=5.0)


def test_an_answer_under_way_is_never_cut_off_for_a_newcomer() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        answer: Callable[[Any], Any] = harness.memory.upstream.answer
        let_go = asyncio.Event()

        async def late(request: Any) -> Any:
            await let_go.wait()
            return answer(request)

        harness.memory.upstream.answer = late
        asking = [asyncio.ensure_future(session.post(url + PATH, json=BODY, headers=AUTH)) for _ in range(3)]
        await until(harness.sent)
        strangers = [await Sender(url).send() for _ in range(20)]
        let_go.set()
        for answer_to_come in asking:
            async with await answer_to_come as response:
                assert response.status == 200
        for stranger in strangers:
            stranger.close()

    run(play, room=3)


def test_a_ceiling_per_address_turns_the_rest_away() -> None:
    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        first = [await Sender(url).send(LIVE) for _ in range(3)]
        assert [await each.answer() for each in first] == [200] * 3
        rest = [await Sender(url).send() for _ in range(4)]
        async with asyncio.timeout(5):
            assert [await each.reader.read() for each in rest] == [b""] * 4
        assert harness.memory.meter.counts[TOO_MANY] == 4
        for each in (*first, *rest):
            each.close()

    run(play, per_address=3)


@pytest.mark.parametrize("held_s", [0.0, 0.2])
def test_who_opens_and_closes_before_his_turn_costs_no_task(held_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    started, start = list[QuietConnection](), QuietConnection.start

    def counting(self: QuietConnection) -> Any:
        started.append(self)
        return start(self)

    monkeypatch.setattr(QuietConnection, "start", counting)

    async def play(harness: Harness, session: aiohttp.ClientSession, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        sockets = [socket.create_connection((host, int(port))) for _ in range(20)]  # nothing is accepted meanwhile
        if held_s:
            await asyncio.sleep(held_s)
        for one in sockets:
            one.close()
        sender = await Sender(url).send(head(MINE, f"Content-Length: {len(SMALL)}"), SMALL)
        assert await sender.answer() == 200
        sender.close()
        assert len(started) == (21 if held_s else 1)
        await until(lambda: harness.memory.meter.gauges[OPEN] == 0)

    run(play)
