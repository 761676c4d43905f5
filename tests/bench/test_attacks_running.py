"""The watched user, the attacker's connections, and the programs that run for minutes, in their short forms."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bench import audit_growth, mix
from bench.attacks import sending
from bench.attacks.attack import Attacker
from bench.attacks.outcomes import Outcomes, logged_requests
from bench.attacks.watcher import HOT, KEPT, Watcher, at_share

ROOT = Path(__file__).parents[2]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
HIT = {"Cache-Status": "esm-gateway; hit; ttl=1"}


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def watched(handler: Handler, seconds: float = 0.4, rate: float = 50.0) -> dict[str, Any]:
    async with served(handler) as url:
        return await Watcher(url, "a-key", declared=False).watch(seconds, rate)


def test_the_watched_user_asks_as_many_cold_calls_as_hits_and_no_cold_call_twice() -> None:
    bodies: Counter[bytes] = Counter()

    async def handler(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        bodies[body] += 1
        return web.Response(body=b"{}", headers=HIT if bodies[body] > 1 else {})

    felt = asyncio.run(watched(handler))
    assert [felt[kind]["sent"] for kind in ("cold", "hits")] == [20, 20]
    assert [felt[kind]["hits"] for kind in ("cold", "hits")] == [0, 20]
    assert [felt[kind]["answered"] for kind in ("cold", "hits")] == [1.0, 1.0]
    # 20 hot calls warmed on several connections each and asked once more, and 20 cold ones.
    assert sorted(bodies.values()) == [1] * 20 + [KEPT + 1] * HOT


def test_the_watched_user_says_which_calls_were_refused_and_why() -> None:
    asked = 0

    async def handler(request: web.BaseRequest) -> web.Response:
        nonlocal asked
        asked += 1
        await request.read()
        if asked > HOT * KEPT and asked % 4 == 0:
            return web.Response(status=503, body=b'{"type":"urn:x:problem:closed"}')
        return web.Response(body=b"{}")

    felt = asyncio.run(watched(handler))
    refused = sum(felt[kind]["statuses"].get("503", 0) for kind in felt)
    assert refused == 10 == sum(felt[kind]["problems"].get("urn:x:problem:closed", 0) for kind in felt)
    assert sum(felt[kind]["answered"] for kind in felt) == pytest.approx(2 - 0.5)


def test_a_gateway_that_stands_still_is_charged_for_every_request_that_was_due_meanwhile() -> None:
    """All answers of the second half come together at the end, so each of them was late by another time."""
    asked = 0
    last = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        nonlocal asked
        asked += 1
        await request.read()
        if asked == HOT * KEPT + 40:
            last.set()
        if asked > HOT * KEPT + 20:
            await last.wait()
        return web.Response(body=b"{}")

    felt = asyncio.run(watched(handler))
    assert felt["hits"]["answered"] == 1.0
    # The first that waits was due 0.2 s before the last.
    assert felt["hits"]["max_ms"] > 150
    assert felt["hits"]["p50_ms"] < felt["hits"]["p99_ms"]


def test_a_share_of_times_in_milliseconds() -> None:
    assert at_share([], 0.99) is None
    assert at_share([0.001 * n for n in range(1, 101)], 0.99) == 100.0
    assert at_share([0.001 * n for n in range(1, 101)], 0.5) == 51.0


async def attacked(handler: Handler, send: Callable[[Attacker], Awaitable[None]], until: int) -> Attacker:
    """The attack, ended when the server has been asked so often."""
    reached = asyncio.Event()
    asked = 0

    async def counted(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked >= until:
            reached.set()
        return await handler(request)

    async with served(counted) as url:
        attacker = Attacker(url, {"mallory": "a-key"}, workers=1)
        task = asyncio.ensure_future(send(attacker))
        await asyncio.wait_for(reached.wait(), 20)
        task.cancel()
        await asyncio.wait({task})
    return attacker


async def refusing(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response(status=429, body=b'{"type":"urn:x:problem:rate"}')


def test_a_flood_asks_as_soon_as_it_is_answered_and_counts_what_it_was_told() -> None:
    async def send(attacker: Attacker) -> None:
        await sending.flooded(attacker, [attacker.request("/x", b"{}")], 4)

    attacker = asyncio.run(attacked(refusing, send, 100))
    assert attacker.told["429"] >= 96
    assert attacker.problems["urn:x:problem:rate"] == attacker.told["429"]


def test_bursts_go_out_together() -> None:
    at_once = most = 0
    together = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == 10:
            together.set()
        await together.wait()
        return await refusing(request)

    async def send(attacker: Attacker) -> None:
        await sending.paced(attacker, [attacker.request("/x", b"{}")], 0.1, burst=10)

    asyncio.run(attacked(handler, send, 10))
    assert most == 10


def test_a_caller_who_hangs_up_is_not_answered() -> None:
    async def send(attacker: Attacker) -> None:
        request = attacker.request("/x", b"{}" * 500)
        await sending.paced(attacker, [request], 200.0, cuts=sending.cuts(50, len(request)))

    async def waiting(request: web.BaseRequest) -> web.Response:
        with suppress(ConnectionError):
            await request.read()
        await asyncio.Event().wait()
        raise AssertionError

    attacker = asyncio.run(attacked(waiting, send, 40))
    # Some hang up at the first byte of an answer, which never comes; the last ones have not hung up yet.
    assert attacker.told["hung up"] >= 15
    assert attacker.told["lost"] == 0
    assert set(attacker.told) <= {"sent", "hung up", "not sent", "unanswered", "lost"}


def test_connections_that_are_ended_are_replaced() -> None:
    async def closing(request: web.BaseRequest) -> web.Response:
        response = await refusing(request)
        response.force_close()
        return response

    async def send(attacker: Attacker) -> None:
        await sending.held(attacker, attacker.request("/x", b"{}"), 5, every_s=0.01, again=True)

    attacker = asyncio.run(attacked(closing, send, 25))
    assert attacker.told["connections"] >= 25
    assert attacker.told["429"] >= 20


def test_a_mix_of_attacks_ends_with_every_request_counted_once() -> None:
    plan = mix.MixPlan(
        minutes=0.1,
        workers=1,
        rate=10,
        seed=3,
        rounds=2,
        only=("odd/receipts", "refusals/rate", "refusals/unknown-paths"),
    )
    result = asyncio.run(mix.measured(plan, {}))
    met = {bar.name: bar.met for bar in mix.bars(result)}
    assert sum(result["runs"].values()) >= 2
    assert result["outcomes"]["counted"] == result["outcomes"]["logged"] > 100
    assert met["outcomes counted beyond those logged"]
    assert met["requests logged twice"]
    assert met["workers that died"]
    assert result["rounds"][-1]["in_flight"] == 0
    assert all(one["felt"]["hits"]["answered"] == 1.0 for one in result["rounds"])
    assert "requests:" in mix.as_text(result)


def test_a_request_that_is_logged_twice_is_counted_twice_and_lines_left_out_are_told(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text('{"url":"x"}\n{"request":"a"}\nready\n{"request":"b"}\n{"request":"a"}\n{"dropped_lines":3}\n')
    assert logged_requests(log) == (Counter(a=2, b=1), 3)


def mixed(**last: Any) -> dict[str, Any]:
    calm = {"statuses": {"200": 10}}
    rest = {"felt": {"cold": calm, "hits": calm}, "rss_mb": 400.0, "descriptors": 100, "in_flight": 0}
    counts = Outcomes(counted=50, logged=50, logged_twice=0, dropped_lines=0, in_flight=0, own_faults=0)
    outcomes = {name: getattr(counts, name) for name in counts.__slots__}
    outcomes |= {name: last.pop(name) for name in list(last) if name in outcomes and name != "in_flight"}
    died = last.pop("workers_died", 0)
    return {"rounds": [rest] * 9 + [{**rest, **last}], "outcomes": outcomes, "workers_died": died}


@pytest.mark.parametrize(
    ("last", "bar"),
    [
        ({"rss_mb": 441.0}, "rss_mb at rest"),
        ({"descriptors": 111}, "descriptors at rest"),
        ({"in_flight": 1}, "requests in flight at rest"),
        ({"felt": {"cold": {"statuses": {"200": 9, "503": 1}}, "hits": {"statuses": {}}}}, "5xx and losses"),
        ({"felt": {"cold": {"statuses": {"200": 9, "late": 1}}, "hits": {"statuses": {}}}}, "5xx and losses"),
        ({"own_faults": 1}, "5xx of the gateway's own"),
        ({"logged_twice": 1}, "requests logged twice"),
        ({"logged": 49}, "outcomes counted beyond"),
        ({"workers_died": 1}, "workers that died"),
    ],
)
def test_what_a_mix_leaves_behind_is_noticed(last: dict[str, Any], bar: str) -> None:
    assert all(bar.met for bar in mix.bars(mixed()))
    assert [one.name.startswith(bar) for one in mix.bars(mixed(**last)) if not one.met] == [True]


def test_an_hour_of_audit_is_its_first_minute_and_the_rest_as_the_rest_of_the_run() -> None:
    beginning = [(1.0, 1000)] * 10
    assert audit_growth.an_hour(beginning, 240) == 10_000
    assert audit_growth.an_hour([*beginning, (90.0, 600), (200.0, 600)], 240) == 10_000 + 1200 * 3540 / 180
    assert audit_growth.an_hour(beginning, 6) == 10_000 * 600


def test_the_audit_programs_figures_are_of_the_flood_and_of_an_approved_user(tmp_path: Path) -> None:
    words = ["--minutes", "0.04", "--baseline-s", "1", "--workers", "1", "--results", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-m", "bench.audit_growth", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "kB in an hour" in run.stdout, run.stderr
    (kept,) = tmp_path.glob("audit_growth-*.local.json")
    seen = json.loads(kept.read_text())
    assert run.returncode == (0 if all(bar["met"] for bar in seen["bars"]) else 1)
    assert seen["beside"]["cold"]["answered"] == 1.0
    assert seen["beside"]["cold"]["sent"] == 12
    assert seen["told"]["sent"] > 50
    assert seen["bytes"] > 300
    assert sum(seen["records"].values()) >= 1
