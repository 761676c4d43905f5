"""A refresh reaches the memory of every worker within a second, and nobody else's answers leave it."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.product import Product, demo, many, until
from tests.e2e.test_purge_reach import DRAWN, answers


async def refreshed(product: Product, session: aiohttp.ClientSession, directive: str) -> float:
    """Seconds after which nobody who asked got the answer from before the refresh."""
    before: set[bytes] = set()

    async def settled() -> bool:
        nonlocal before
        before = {body for _ in range(3) for _, body in await answers(product, session, "")}
        return len(before) == 1  # in the memory of every worker

    await until(settled)
    status, headers, body = await product.ask(session, DRAWN, cache_control=directive)
    assert (status, body in before) == (200, False), headers
    done = last = time.monotonic()
    while True:
        got = await answers(product, session, "")
        old = [asked for asked, other in got if other in before]
        if not old:
            assert {other for _, other in got} == {body}
            return last - done
        last = max(last, *old)
        assert last - done < 10, "not every worker follows"


@pytest.mark.parametrize("directive", ["no-cache", "max-age=0", "min-fresh=999999999"])
def test_a_refreshed_answer_is_that_of_every_worker_within_a_second(tmp_path: Path, directive: str) -> None:
    async def play(product: Product) -> None:
        async with many() as session:
            assert await refreshed(product, session, directive) <= 1.0

    with demo(tmp_path / "d", "--workers", "4", "--requests-per-minute", "1000000") as product:
        asyncio.run(play(product))
