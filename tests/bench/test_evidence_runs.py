"""Short forms of the programs that judge answers, against the product as it is served; and that they notice."""

import asyncio
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench import chaos, figures, flush, lab, nginx
from bench.asking import Cut, Line, LostError, request
from bench.delaying import Delay, Proxy
from bench.flush import most_at_once, recovered_after
from bench.served import PATIENT
from bench.steady import Told
from bench.store import cache_server

FEW: dict[str, Any] = {"listen.workers": 1}


def test_a_labs_calls_are_computed_once_each_and_nobody_gets_anothers_answer() -> None:
    result = asyncio.run(lab.measured(150, ["wire", "sampler"], seed=5, connections=8, settings=FEW))
    wire, sampler, *others = result["sides"]
    assert lab.kept_its_word(result), lab.as_text(result)
    assert (wire["computed"], wire["answered"]) == (result["distinct"]["wire"] + result["sampled"], 150)
    assert sampler["computed"] == result["distinct"]["sampler"] + result["sampled"] < wire["computed"]
    assert len(others) == (nginx.found() is not None)
    assert all(side["computed"] >= result["texts"] for side in others)
    assert "nginx" in lab.as_text(result) or not others


def test_callers_who_hang_up_and_a_dying_store_make_no_answer_wrong_and_the_check_notices_one_that_is() -> None:
    plan = chaos.Plan(
        requests=400,
        workers=2,
        connections=16,
        cancel=0.3,
        kill_every_s=0.5,
        down_s=0.2,
        hot=40,
        new=0.05,
        late_share=0.01,
        mislead=20,
    )
    result = asyncio.run(chaos.measured(plan, {}))
    seen = result["statuses"]
    assert result["asked"] == result["cancelled"] + result["answered"] + result["lost"] + result["late"] == 400
    assert 60 < result["cancelled"] < 180
    assert (result["lost"], result["late"], result["workers_died"]) == (0, 0, 0)
    assert set(seen) <= {"200", "503"}
    assert seen["200"] == result["checked"] > 150
    # As many as were held against another question, and no more.
    assert result["wrong_answers"] == result["misled"] == result["checked"] // 20
    assert not chaos.kept_its_word(result)
    assert "it answers another question" in chaos.as_text(result)


def test_a_flush_under_load_stays_under_the_cap_of_upstream_calls() -> None:
    small = flush.Plan(rate=100, before_s=0.5, after_s=1.5, hot=30, users=1, workers=1, cap=2, latency=0.03)
    result = asyncio.run(flush.measured(small, dict(PATIENT)))
    assert flush.kept_its_word(result), flush.as_text(result)
    assert result["hits"]["before"] == 1
    # Each hot call once, and once more what was computed before it was heard that the state of purges was gone, too:
    # half a second of two calls at a time (docs/decisions/0016).
    assert 0 < result["upstream_calls"] <= 30 + 2 * 0.5 / small.latency
    assert 1 <= result["most_at_once"] <= result["cap"] == 2


def test_the_most_calls_at_once_are_read_from_starts_and_ends() -> None:
    assert most_at_once([]) == 0
    assert most_at_once([(0, 2), (1, 3), (2, 4), (5, None), (6, None)]) == 2
    assert most_at_once([(0, 9), (1, 3), (2, 4)]) == 3


def test_a_flush_is_over_when_nobody_waits_in_line() -> None:
    told = [Told(100 + i / 10, 0.5 if i < 7 else 0.01, 200, True, None) for i in range(40)]
    assert recovered_after(told, 100.0, latency_s=0.1) == 1.0
    assert recovered_after(told[:10], 100.0, latency_s=0.1) is None
    assert recovered_after(told[7:], 100.0, latency_s=0.1) == 0.0


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"most_at_once": 9}, False),
        ({"upstream_calls": 0}, False),
        ({"wrong": 1}, False),
        ({"statuses": {"before": {"200": 1}, "after": {"503": 1}}}, False),
        ({"statuses": {"before": {"200": 1}, "after": {"0": 1}}}, False),
        ({"statuses": {"before": {"200": 1}, "after": {"429": 1}}}, True),
    ],
)
def test_a_stampede_an_error_and_a_flush_that_was_not_felt_are_failures(changes: dict[str, Any], kept: bool) -> None:
    statuses = {"before": {"200": 1}, "after": {"200": 1}}
    result = {"cap": 8, "most_at_once": 8, "upstream_calls": 3, "wrong": 0, "statuses": statuses, **changes}
    assert flush.kept_its_word(result) is kept


async def _answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP server that answers the third request on a connection by hanging up."""
    for _ in range(2):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nte")
        await writer.drain()
        writer.write(b"xt")
    await reader.readuntil(b"\r\n\r\n")


def test_a_line_is_kept_can_be_cut_and_tells_a_loss_from_a_cut() -> None:
    async def scenario() -> None:
        ended: asyncio.Queue[None] = asyncio.Queue()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await _answer_twice(reader, writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            ended.put_nowait(None)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        ask = request("http://x", "/", method="GET")
        line = await Line.open(address)
        for _ in range(2):
            reply = await line.ask(ask)
            assert reply is not None
            assert (reply.status, reply.body) == (200, b"text")
        with pytest.raises(LostError):
            await line.ask(ask)
        assert line.closed
        await ended.get()
        for cut in (Cut(), Cut(sent=5), Cut(after_s=0.0), Cut(reset=True)):
            line = await Line.open(address)
            assert await line.ask(ask, cut) is None
            assert line.closed
            await ended.get()
        server.close()
        await server.wait_closed()

    asyncio.run(scenario())


def test_late_replies_keep_their_order_and_a_store_that_is_away_ends_its_connections(tmp_path: Path) -> None:
    async def scenario() -> None:
        random.seed(1)
        async with cache_server(tmp_path) as store:
            proxy = Proxy(store.port, Delay(0.001, 0.2, 0.02))
            server = await asyncio.get_running_loop().create_server(proxy.accepted, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for number in range(50):
                writer.write(f"ECHO {number}\r\n".encode())
                await writer.drain()
            said = [await reader.readline() for _ in range(100)]
            assert [int(line) for line in said[1::2]] == list(range(50))
            await store.kill()
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            assert store.kills == 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            server.close()
            await server.wait_closed()

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["lab", "chaos", "flush"])
def test_the_page_shows_the_committed_figures(name: str) -> None:
    page, kept = figures.PAGE.read_text(), figures.RESULTS / f"{name}.json"
    texts = {"lab": lab.as_text, "chaos": chaos.as_text, "flush": flush.as_text}
    assert page == figures.with_section(page, name, texts[name](json.loads(kept.read_text())))
