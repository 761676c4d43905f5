"""The benchmark measures what it says it measures. Nothing here depends on how fast the machine is."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bench import load, report
from bench.__main__ import PAGE, RESULTS, with_figures
from bench.bodies import BODIES, SERIALS, Body, serial
from bench.load import Figures, Order
from bench.rounds import CacheStats
from gateway.core.endpoint import ParseConfig
from gateway.endpoints.generate_tensor import ENDPOINT

ROOT = Path(__file__).parents[2]
RULES = ParseConfig({"esm3-open-2024-03": 1.0})


def numbered(body: Body, number: int) -> bytes:
    digits = serial(number)
    return body.text[: body.serial_at] + digits + body.text[body.serial_at + len(digits) :]


@pytest.mark.parametrize(("name", "low", "high"), [("small", 2_000, 3_000), ("big", 540_000, 580_000)])
def test_every_numbered_body_is_a_valid_call_of_its_own_that_is_kept(name: str, low: int, high: int) -> None:
    body = BODIES[name]()
    assert low < len(body.text) < high
    calls = [ENDPOINT.parse(numbered(body, number), "", RULES) for number in (0, 1, SERIALS // 2, SERIALS - 1)]
    assert len({call.canonical_digest for call in calls}) == len(calls)
    assert {call.determinism.cls for call in calls} == {"exact"}
    assert {call.length for call in calls} == {258}


def test_a_run_writes_the_documented_figures(tmp_path: Path) -> None:
    words = ["--rounds", "1", "--seconds", "0.05", "--connections", "1", "--body", "small"]
    run = subprocess.run(
        [sys.executable, "-m", "bench", *words, "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "Promises" in run.stdout
    (kept,) = tmp_path.glob("*.local.json")
    result = json.loads(kept.read_text())
    assert set(result) == {
        *("shape", "when", "took_s", "machine", "scope", "answer_bytes", "bars", "ratios", "cells"),
    }
    assert [cell["what"] for cell in result["cells"]] == ["bare", "hit", "miss", "sandbox"]
    by_what = {cell["what"]: cell for cell in result["cells"]}
    assert set(by_what["miss"]["cpu_us"]) == {"worker", "state", "cache", "sandbox", "load"}
    assert by_what["hit"]["cpu_us"]["worker"] > 0
    assert by_what["hit"]["astray"] == 0
    assert {(ratio["what"], ratio["beside"]) for ratio in result["ratios"]} == {("hit", "bare"), ("miss", "sandbox")}
    assert all(isinstance(bar["met"], bool) for bar in result["bars"])
    assert result["answer_bytes"]["small"] > 5_000


def test_the_page_shows_the_committed_figures() -> None:
    page = PAGE.read_text()
    assert page == with_figures(page, json.loads((RESULTS / "latest.json").read_text()))


def figures(cpu_us: float, p50_ms: float = 1.0, server: str = "worker") -> Figures:
    names = {"worker": 0.0, "bare": 0.0, "state": 0.0, "cache": 0.0, "sandbox": 0.0, "load": 0.0}
    return Figures(1000, 1.0, p50_ms, p50_ms, 9000, 0, {**names, server: cpu_us / 1000})


def test_a_ratio_is_taken_within_a_round_so_that_a_machine_that_slows_down_does_not_change_it() -> None:
    seen: list[CacheStats] = []
    for number, slowness in enumerate((1.0, 4.0, 2.0)):
        seen.append(CacheStats(number, "hit", "small", 1, figures(60 * slowness, 1.5 * slowness)))
        seen.append(CacheStats(number, "bare", "small", 1, figures(30 * slowness, slowness, "bare")))
    (ratio,) = report.ratios(seen)
    assert (ratio.cpu, ratio.cpu_low, ratio.cpu_high) == (2.0, 2.0, 2.0)
    assert ratio.added_p50_ms == 1.0


def test_a_broken_promise_is_said_to_be_broken_and_the_worst_case_counts() -> None:
    seen = [
        *(CacheStats(0, "hit", "small", 1, figures(50)), CacheStats(0, "bare", "small", 1, figures(30, server="bare"))),
        *(
            CacheStats(0, "hit", "small", 64, figures(70)),
            CacheStats(0, "bare", "small", 64, figures(30, server="bare")),
        ),
    ]
    cpu, added = report.bars(report.ratios(seen))
    assert (cpu.connections, cpu.measured, cpu.met) == (64, 2.33, False)
    assert (added.connections, added.met) == (1, True)


async def loaded(answer: Mapping[str, Any], mark: str) -> Figures:
    """What the load generator makes of a server that always gives this answer."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(**answer)

    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    order = Order(url, "small", connections=2, seconds=0.02, warm_s=0.01, mark=mark, first_serial=5)
    seen = await load.measure(order, BODIES["small"]())
    await runner.cleanup()
    return seen


def test_answers_that_were_not_ordered_are_counted_and_the_first_is_told() -> None:
    hit = {"body": b"{}", "headers": {"Cache-Status": "esm-gateway; hit"}}
    seen = asyncio.run(loaded(hit, "esm-gateway; hit"))
    assert (seen.astray, seen.first_astray, seen.fault) == (0, "", "")
    assert seen.next_serial >= 5 + seen.requests > 5
    seen = asyncio.run(loaded(hit, "fwd=miss"))
    assert (seen.astray, seen.first_astray) == (seen.requests, "200 esm-gateway; hit")
    seen = asyncio.run(loaded({"status": 503, "body": b'{"type":"urn:x"}'}, ""))
    assert (seen.astray, seen.first_astray) == (seen.requests, "503 urn:x")
