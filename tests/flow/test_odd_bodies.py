"""Requests of the real SDK, broken in every way that comes to mind: a clear refusal or an answer, never a fault."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core.problems import Problem
from gateway.flow.context import RequestContext
from gateway.ports import UpstreamReply, UpstreamRequest
from gateway.sandbox.bodies import RefusedError
from tests.flow.harness import KEY, Harness, Raw, answering

WIRE = Path(__file__).resolve().parents[1] / "wire"
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, -1e308, 1e-300, 2**63, 2**64, 10**30),
    *("", "WWWWWWWW", "_" * 50, "\u0000", "é" * 10),
    *([], [[]], [[[]]], {}, {"a": 1}, [None], [1, "a"], [[1, 2]], [0, 32, 2], [[0] * 8] * 8, [[[None] * 3] * 37] * 8),
)
QUERIES = ("", "a=b", "sequence=" + "W" * 200, "%ff=%00", "sequence=W&sequence=W")
TIMES = 1500


def requests() -> Iterator[tuple[str, Any]]:
    for file in sorted(WIRE.glob("*.json")):
        for exchange in json.loads(file.read_text())["exchanges"]:
            if exchange["request"].get("body") is not None:
                yield exchange["request"]["target"], exchange["request"]["body"]


def broken(value: Any, chance: random.Random, depth: int = 0) -> Any:
    if chance.random() < 0.08 + 0.05 * depth:
        return chance.choice(ODD)
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if chance.random() > 0.03}
        changed = {n: broken(part, chance, depth + 1) if chance.random() < 0.25 else part for n, part in kept.items()}
        more = {chance.choice(["x", "sequence", "query", "é"]): chance.choice(ODD)} if chance.random() < 0.05 else {}
        return {**changed, **more}
    if isinstance(value, list) and value:
        items = list(value)
        at = chance.randrange(len(items))
        items[at] = broken(items[at], chance, depth + 1)
        return items[: -1 if chance.random() < 0.1 else None]
    return value


def bytes_of(value: Any, chance: random.Random) -> bytes:
    raw = json.dumps(value).encode()
    at = chance.randrange(len(raw))
    if chance.random() < 0.1:
        return raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]
    return raw[:at] if chance.random() < 0.05 else raw


def answered_or_refused(request: UpstreamRequest) -> UpstreamReply:
    try:
        return answering(request)
    except RefusedError:
        return UpstreamReply(400, "application/json", None, b"{}")


@pytest.mark.parametrize("seed", range(2))
def test_no_odd_body_is_a_fault_of_ours_or_is_quoted_back(seed: int) -> None:
    async def story() -> None:
        chance = random.Random(seed)
        harness = await Harness().opened()
        harness.memory.upstream.answer = answered_or_refused
        asked, answered = list(requests()), 0
        refused: list[Problem] = []
        for _ in range(TIMES):
            target, body = chance.choice(asked)
            path, _, query = target.partition("?")
            headers = {"authorization": f"Bearer {KEY.text}", "content-type": "application/json"}
            raw = Raw(bytes_of(broken(body, chance), chance), path, headers)
            raw.query = query if chance.random() < 0.8 else chance.choice(QUERIES)
            try:
                answered += (await harness.flow.pipeline.handle(raw, RequestContext("r", lambda: 0.0))).status == 200
            except Problem as problem:
                refused.append(problem)
        await harness.tasks.drain(5.0)
        assert all(400 <= problem.type.status < 500 for problem in refused)
        assert not any(b"WWWW" in orjson.dumps(problem.document("r")) for problem in refused)
        assert answered + len(refused) == TIMES
        assert min(answered, len(refused)) > TIMES / 10

    asyncio.run(story())
