"""A worker that stands still while it leads: its callers and everybody else's get the answer all the same, in time."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.product import Product, demo, many, until

CALLERS, WORKERS = 160, 4
LEASE_S, COMPUTE_S, STOPPED_S = 1.0, 1.0, 3.0
# What starting, parsing and answering may take on a busy machine; a leader that is waited for takes STOPPED_S more.
SLACK_S = 2.0


async def calling(product: Product, session: aiohttp.ClientSession) -> tuple[int, float]:
    """Its status, and when it ended."""
    status, _, _ = await product.ask(session)
    return status, time.monotonic()


async def stop_leader(product: Product, session: aiohttp.ClientSession) -> tuple[Callable[[], None], float]:
    """Stop the worker that computes; what sets it going again, and when it was stopped."""

    async def computing() -> bool:
        return bool((await product.calls(session))["total"])

    await until(computing)
    leader = product.leader()
    os.kill(leader, signal.SIGSTOP)
    return lambda: os.kill(leader, signal.SIGCONT), time.monotonic()


def test_a_leader_that_stands_still_past_its_lease_costs_at_most_one_more_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CACHE__LEASE_S", str(LEASE_S))

    async def play(product: Product) -> None:
        async with many() as session:
            began = time.monotonic()
            asking = [asyncio.ensure_future(calling(product, session)) for _ in range(CALLERS)]
            go_on, stopped = await stop_leader(product, session)
            try:
                await asyncio.sleep(stopped + STOPPED_S - time.monotonic())
                ended_before = sum(call.done() for call in asking)
            finally:
                go_on()
            continued = time.monotonic()
            ended = await asyncio.gather(*asking)
            assert [status for status, _ in ended] == [200] * CALLERS
            assert (await product.calls(session))["total"] <= 2
            elsewhere = [at for _, at in ended if at < continued]
            assert len(elsewhere) == ended_before > CALLERS / 4
            assert max(elsewhere) - began < LEASE_S + COMPUTE_S + SLACK_S
            assert max(at for _, at in ended) - continued < SLACK_S

    with demo(tmp_path / "d", "--workers", str(WORKERS), "--latency", str(COMPUTE_S)) as product:
        asyncio.run(play(product))
