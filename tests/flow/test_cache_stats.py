"""What the cache saves and holds, in the numbers that operators look at."""

import asyncio
from collections.abc import Awaitable, Callable
from math import isnan
from typing import Any

from gateway.core.types import Answer, DeterminismClass
from gateway.flow.cache_stats import INTERVAL_S, CacheStats
from gateway.ports import UpstreamLoss
from tests.flow.harness import Harness, Parts, a_call


def run(play: Callable[[Harness], Awaitable[None]], **cache: Any) -> None:
    async def whole() -> None:
        await play(await Harness({"cache": {"spot_check_fraction": 0.0, **cache}}).opened())

    asyncio.run(whole())


def counted(harness: Harness, metric: str) -> dict[tuple[str, ...], float]:
    return {key[1:]: count for key, count in harness.memory.meter.counts.items() if key[0] == metric and count}


def test_a_hit_counts_the_bytes_the_age_and_the_seconds_that_it_saved() -> None:
    parts = Parts()
    stats = CacheStats(parts.cache, parts.runtime())
    answer = Answer(b"x" * 70, parts.clock.now() - 90.0, DeterminismClass.PINNED, compute_s=2.5)
    for _ in range(2):
        stats.record_hit(a_call(), answer)
    assert parts.meter.counts[("esmgw_cache_bytes_total", "served")] == 140
    assert parts.meter.counts[("esmgw_upstream_seconds_saved_total", "generate_tensor")] == 5.0
    assert parts.meter.seconds[("esmgw_cache_age_seconds", "pinned")] == [90.0, 90.0]


def test_a_repeat_is_seen_from_the_front_door() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        size = len(first.body)
        assert counted(harness, "esmgw_cache_bytes_total") == {("stored",): size, ("compressed",): size}
        harness.memory.clock.advance(1.0)
        await harness.ask()
        assert counted(harness, "esmgw_cache_bytes_total")[("served",)] == size
        assert harness.memory.meter.seconds[("esmgw_cache_age_seconds", "exact")] == [1.0]
        assert counted(harness, "esmgw_cache_writes_total") == {("stored",): 1}

    run(play)


def test_what_an_entry_takes_is_what_is_left_of_it_packed() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask({"inputs": {"sequence": [0, *[32] * 2000, 2]}})
        sizes = counted(harness, "esmgw_cache_bytes_total")
        assert sizes[("stored",)] == len(first.body)
        assert 0 < sizes[("compressed",)] < len(first.body) / 5

    run(play)


def test_an_answer_that_could_not_be_kept_is_counted_apart() -> None:
    async def play(harness: Harness) -> None:
        harness.memory.cache.lost.add("put")
        await harness.ask()
        await harness.ask(cache_control="no-store")
        assert counted(harness, "esmgw_cache_writes_total") == {("not_stored",): 1}
        assert counted(harness, "esmgw_cache_bytes_total") == {}

    run(play)


def test_a_stale_answer_that_stands_in_is_counted_as_stale_and_for_what_it_saved() -> None:
    async def play(harness: Harness) -> None:
        size = len((await harness.ask()).body)
        harness.memory.clock.advance(20.0)
        await harness.flow.poller.poll()
        harness.memory.upstream.answer = lambda _: UpstreamLoss("no way", sent=False, timed_out=False)
        response = await harness.ask()
        assert response.status == 200
        assert counted(harness, "esmgw_cache_results_total")[("generate_tensor", "stale", "exact")] == 1
        assert counted(harness, "esmgw_cache_bytes_total")[("served",)] == size

    run(play, ttl_s=10.0, stale_if_error_s=100.0)


def test_the_cache_server_is_asked_every_fifteen_seconds_and_shown_as_it_is() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        await harness.flow.stats.poll()
        gauges = harness.memory.meter.gauges
        assert gauges[("esmgw_cache_store_keys", "stored")] == 1
        assert gauges[("esmgw_cache_store_keys", "evicted")] == 0
        assert gauges[("esmgw_cache_store_bytes",)] > 0
        assert INTERVAL_S == 15.0

    run(play)


def test_of_a_lost_cache_server_nothing_is_shown() -> None:
    async def play(harness: Harness) -> None:
        await harness.flow.stats.poll()
        harness.memory.cache.lost.add("stats")
        await harness.flow.stats.poll()
        gauges = harness.memory.meter.gauges
        assert isnan(gauges[("esmgw_cache_store_bytes",)])
        assert isnan(gauges[("esmgw_cache_store_keys", "stored")])
        assert counted(harness, "esmgw_store_errors_total") == {("cache", "stats"): 1}

    run(play)
