"""Four processes, 256 clients, a limit of 100 units, fifty rounds: judged by the upstream's own log."""

import asyncio
from pathlib import Path

import aiohttp

from gateway.core.types import Limits
from gateway.flow.key_admin import NewKey
from gateway.settings import load
from gateway.wiring.command_services import open_services
from tests.e2e.product import Product, demo, many

ROUNDS, CLIENTS, LIMIT, COST = 50, 256, 100, 7


async def keys(product: Product) -> list[str]:
    """One key a round, each of a user of its own."""
    settings = load(product.directory / "gateway.toml", {})
    async with open_services(settings) as parts:
        orders = [NewKey(f"racer-{n}", "race", limits=Limits(units_per_day=LIMIT)) for n in range(ROUNDS)]
        return [(await parts.key_admin.create_key(order, "tester"))[1] for order in orders]


async def one_round(product: Product, session: aiohttp.ClientSession, key: str) -> tuple[int, list[int]]:
    await product.forget_calls(session)
    product.headers = {"Authorization": f"Bearer {key}"}
    calls = (product.ask(session, {"temperature": 1.0 + n / 1000}) for n in range(CLIENTS))
    statuses = [status for status, _, _ in await asyncio.gather(*calls)]
    return (await product.calls(session))["units"], statuses


def test_no_round_admits_more_units_than_the_limit(tmp_path: Path) -> None:
    async def play(product: Product) -> None:
        async with many(CLIENTS) as session:
            for key in await keys(product):
                units, statuses = await one_round(product, session, key)
                assert units <= LIMIT
                assert set(statuses) <= {200, 403}, set(statuses)
                assert statuses.count(200) * COST == units == LIMIT // COST * COST

    with demo(tmp_path / "d", "--workers", "4") as product:
        asyncio.run(play(product))
