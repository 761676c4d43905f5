"""The ten-tries client is the SDK's, and a batch through the gateway loses no task to what passes at the upstream."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from aiohttp import web

from bench import batches, batches_outage
from bench.batches_client import RELEASES, BatchClient, BatchStats, BatchTask
from bench.batches_outage import Answered
from bench.batches_upstream import CASES, batch
from gateway.core.endpoint import ParseConfig
from gateway.core.types import Call
from gateway.endpoints import BY_PATH

Answer = Callable[[int], tuple[int, str]]
FEW = {"listen.workers": 1}


async def sent_to(answer: Answer, tasks: int, release: str) -> tuple[BatchStats, list[int]]:
    """A batch to a server that answers the n-th request with this status and problem type; None hangs up.

    And how many were in flight as each arrived.
    """
    seen: list[int] = []
    in_flight = 0

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal in_flight
        in_flight += 1
        seen.append(in_flight)
        number = len(seen) - 1
        await request.read()
        # All that were sent together have arrived before the first is answered.
        for _ in range(50):
            await asyncio.sleep(0)
        in_flight -= 1
        status, slug = answer(number)
        if not status:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return web.Response(status=status, body=orjson.dumps({"type": f"urn:esm-gateway:problem:{slug}"}))

    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    stats = await BatchClient(url, "key", RELEASES[release]).run(batch(tasks))
    await runner.cleanup()
    return stats, seen


@pytest.mark.parametrize(
    ("release", "status", "tries"),
    [
        *(("3.2", 429, 10), ("3.2", 502, 10), ("3.2", 504, 10), ("3.2", 500, 1), ("3.2", 503, 1), ("3.2", 403, 1)),
        *(("3.4", 503, 10), ("3.4", 500, 10), ("3.4", 429, 10), ("3.4", 422, 1), ("3.4", 0, 1)),
    ],
)
def test_a_task_that_is_always_refused_fails_after_as_many_tries_as_the_sdk_makes(
    release: str, status: int, tries: int
) -> None:
    stats, seen = asyncio.run(sent_to(lambda _: (status, "no"), 3, release))
    assert len(seen) == 3 * tries
    assert stats.failed == {"no" if status else "lost": 3}
    assert stats.tries == {tries: 3}
    assert stats.statuses == {str(status) if status else "lost": 3 * tries}


def test_a_refusal_that_passes_costs_a_try_and_no_task() -> None:
    stats, seen = asyncio.run(sent_to(lambda n: (429, "busy") if n < 5 else (200, ""), 8, "3.2"))
    assert (len(seen), stats.failed.total()) == (13, 0)
    assert stats.problems == {"busy": 5}
    assert stats.tries.total() == 8


def test_it_begins_with_32_at_once_grows_while_served_and_halves_while_refused() -> None:
    served, seen = asyncio.run(sent_to(lambda _: (200, ""), 300, "3.2"))
    assert max(seen[:32]) == 32
    assert served.at_once > 32
    refused, _ = asyncio.run(sent_to(lambda _: (429, "busy"), 300, "3.2"))
    assert refused.at_once == 32


def calls(tasks: Sequence[BatchTask]) -> list[Call]:
    rules = ParseConfig({"esm3-open-2024-03": 1.0})
    return [BY_PATH[task.target].parse(task.body, "", rules) for task in tasks]


def test_a_batch_is_of_distinct_valid_calls_that_the_upstream_must_be_asked_for() -> None:
    made = calls(batch(60))
    assert len({call.canonical_digest for call in made}) == 60
    assert [call.endpoint for call in made[:2]] == ["generate", "generate_tensor"]
    assert {call.endpoint for call in calls(batch(4, ["letters"]))} == {"generate"}


def test_every_twentieth_call_is_refused_for_longer_than_the_batch_lasts() -> None:
    rules = CASES["refuses-some"].rules(200, 0.1)
    assert [rule["times"] for rule in rules[:2]] == [19, 1]
    assert [rule.get("status", 200) for rule in rules[:2]] == [200, 429]
    assert sum(rule["times"] for rule in rules) > 2 * 200


# Shorter than in a full run, where nothing depends on how long it lasts.
SHORT = batches.Plan(tasks=(32,), workers=(1,), latency_s=0.02, lasting=0.3)


@pytest.mark.parametrize("name", ["refuses", "fails-502", "fails-500", "refuses-one", "loses-key", "drops"])
def test_no_task_of_a_batch_is_lost_to_what_passes(name: str) -> None:
    row = asyncio.run(batches.survived(SHORT, name, 32, 1, {}))
    assert row["failed"] == 0, row
    assert row["statuses"]["200"] == row["tasks"] == 32
    # Each task once, and what was refused.
    assert row["upstream_calls"] >= 32


def test_a_batch_that_loses_tasks_is_no_kept_word() -> None:
    row = {"case": "refuses", "workers": 1, "tasks": 32, "failed": 0, "failed_with": {}, "statuses": {"200": 32}}
    row |= {"most_tries": 1, "seconds": 1.0, "upstream_calls": 32}
    result: dict[str, Any] = {"rows": [row], "outages": []}
    assert batches.kept_its_word(result)
    lost = {**row, "failed": 1, "failed_with": {"upstream-busy": 1}}
    result["rows"].append(lost)
    assert not batches.kept_its_word(result)
    assert "upstream-busy 1" in batches.as_text(result)


PLAN = batches_outage.Plan(outage_s=60, while_s=20)


def told(at: float, status: int, said: str = "") -> Answered:
    return Answered(at - 0.1, at, status, said, tells_seconds=status != 200)


def outage(*more: Answered, calls: int = 30) -> dict[str, Any]:
    """A good lab's outage from 100 to 160, and more answers."""
    busy = [told(101 + i, 429, "upstream-busy") for i in range(15)]
    final = [told(116 + i, 503, "upstream-unavailable") for i in range(44)]
    seen = [told(99, 200), *busy, *final, told(162, 503, "upstream-unavailable"), told(163, 200), *more]
    return {"users": 1, "kind": "502", **batches_outage.judged(PLAN, seen, 100.0, 160.0, calls)}


def test_an_outage_that_is_told_spared_and_over_holds() -> None:
    row = outage(*[told(121 + 4 * i, 502, "upstream-failed") for i in range(9)])
    assert batches_outage.holds(row), batches_outage.faults(row)
    assert (row["opened_s"], row["first_good_s"], row["recovered_s"]) == (16.0, 3.0, 2.0)
    assert (row["final_share"], row["tells_seconds"]) == (1.0, 1.0)
    assert "held" in batches_outage.as_text([row])


@pytest.mark.parametrize(
    "row",
    [
        outage(*[told(130, 429, "upstream-busy")] * 9),
        outage(told(173, 503, "upstream-unavailable")),
        outage(told(99.5, 503, "upstream-unavailable")),
        outage(told(120, 0, "lost")),
        outage(calls=101),
        outage(*[told(130, 502, "upstream-failed")] * 31),
        batches_outage.judged(PLAN, [told(99, 200), told(150, 503, "upstream-unavailable")], 100.0, 160.0, 5),
    ],
    ids=[
        "told as passing",
        "long over",
        "before it began",
        "lost",
        "not spared",
        "more failures than calls",
        "never served again",
    ],
)
def test_what_is_wrong_with_an_outage_is_noticed(row: dict[str, Any]) -> None:
    assert len(batches_outage.faults(row)) == 1
    assert not batches_outage.holds(row)


def test_a_short_outage_spares_the_upstream_and_is_over_when_it_is_over() -> None:
    plan = batches_outage.Plan(
        outage_s=4, before_s=0.5, after_s=11, users=(2,), kinds=("502",), workers=1, latency_s=0.02
    )
    (row,) = asyncio.run(batches_outage.measured(plan, FEW))
    assert batches_outage.holds(row), batches_outage.as_text([row])
    assert 0 < row["upstream_calls"] <= row["calls_allowed"]
