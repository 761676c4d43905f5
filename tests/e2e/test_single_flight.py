"""Equal cold calls at once, over four worker processes, judged by the upstream's own log."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp

from tests.e2e.product import Product, demo, many, until

CALLERS = 500


async def burst(product: Product, session: aiohttp.ClientSession) -> list[int | str]:
    """Statuses; a connection that died is its error's name."""

    async def one() -> int | str:
        try:
            return (await product.ask(session))[0]
        except (aiohttp.ClientError, ConnectionError) as error:
            return type(error).__name__

    return await asyncio.gather(*(one() for _ in range(CALLERS)))


def test_five_hundred_equal_cold_calls_are_one_upstream_call(tmp_path: Path) -> None:
    async def play(product: Product) -> None:
        async with many() as session:
            statuses = await burst(product, session)
            assert statuses == [200] * CALLERS
            calls = await product.calls(session)
            assert calls["total"] == 1
            assert calls["units"] == 7

    with demo(tmp_path / "d", "--workers", "4", "--latency", "1.0") as product:
        asyncio.run(play(product))


def test_a_leader_killed_midway_costs_at_most_one_more_call(tmp_path: Path) -> None:
    async def play(product: Product) -> None:
        async with many() as session:
            asking = asyncio.ensure_future(burst(product, session))

            async def computing() -> bool:
                return bool((await product.calls(session))["total"])

            await until(computing)
            await asyncio.sleep(0.3)
            os.kill(product.leader(), signal.SIGKILL)
            statuses = await asking
            answered, lost = statuses.count(200), [status for status in statuses if isinstance(status, str)]
            assert answered + len(lost) == CALLERS, {str(status) for status in statuses}
            assert len(lost) < CALLERS / 2
            assert (await product.calls(session))["total"] <= 2

    with demo(tmp_path / "d", "--workers", "4", "--latency", "2.0") as product:
        asyncio.run(play(product))
