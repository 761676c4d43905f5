"""What callers are charged, beside what the upstream did for them: under hang-ups and killed workers."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp

from gateway.core.types import Limits
from gateway.flow.key_admin import NewKey
from gateway.settings import load
from gateway.wiring.command_services import open_services
from tests.e2e.product import Product, demo, many, until

COST = 7


async def key_with(product: Product, user: str, limits: Limits) -> str:
    async with open_services(load(product.directory / "gateway.toml", {})) as parts:
        record, text = await parts.key_admin.create_key(NewKey(user, "lab", limits=limits), "tester")
        product.headers = {"Authorization": f"Bearer {text}"}
        return record.public_id


async def charged(product: Product, public_id: str) -> int:
    """Units that the ledger has on this key today."""
    async with open_services(load(product.directory / "gateway.toml", {})) as parts:
        record = await parts.key_admin.key(public_id)
        limits = tuple(limit for limit in parts.limit_config.of_key(record) if limit.name == "key-units")
        return (await parts.ledger.usage(record.user, limits))[0].used


async def impatient(product: Product, session: aiohttp.ClientSession, n: int) -> int | None:
    """A call whose caller goes away after a while that differs from call to call."""
    try:
        async with asyncio.timeout(0.02 + (n % 10) * 0.2):
            return (await product.ask(session, {"temperature": 1 + n / 1000}))[0]
    except TimeoutError:
        return None


def test_callers_who_hang_up_are_charged_exactly_what_the_upstream_did(tmp_path: Path) -> None:
    async def play(product: Product) -> None:
        public_id = await key_with(product, "ada", Limits(units_per_day=1_000_000))
        async with many() as session:
            answers = await asyncio.gather(*(impatient(product, session, n) for n in range(120)))
            assert answers.count(None) > 10
            assert answers.count(200) > 10

            async def quiet() -> bool:
                calls = await product.calls(session)
                return bool(calls["in_flight"] == 0 and calls["units"] == await charged(product, public_id))

            await until(quiet)
            assert (await product.calls(session))["units"] % COST == 0

    with demo(tmp_path / "d", "--workers", "2", "--latency", "0.2") as product:
        asyncio.run(play(product))


def test_a_killed_worker_never_lets_anybody_past_the_limit(tmp_path: Path) -> None:
    limit = 40 * COST

    async def ask(product: Product, session: aiohttp.ClientSession, n: int) -> int:
        try:
            return (await product.ask(session, {"temperature": 1 + n / 1000}))[0]
        except (aiohttp.ClientError, ConnectionError):
            return 0

    async def play(product: Product) -> None:
        public_id = await key_with(product, "bob", Limits(units_per_day=limit))
        async with many() as session:
            asking = [asyncio.ensure_future(ask(product, session, n)) for n in range(30)]

            async def computing() -> bool:
                return int((await product.calls(session))["total"]) >= 10

            await until(computing)
            os.kill(product.leader(), signal.SIGKILL)
            first = await asyncio.gather(*asking)
            assert 0 in first
            rest = await asyncio.gather(*(ask(product, session, 100 + n) for n in range(60)))
            assert 403 in rest
            units = (await product.calls(session))["units"]
            assert units <= await charged(product, public_id) <= limit

    with demo(tmp_path / "d", "--workers", "2", "--latency", "0.3") as product:
        asyncio.run(play(product))


def test_a_revoked_key_is_refused_by_every_worker_within_two_seconds(tmp_path: Path) -> None:
    async def play(product: Product) -> None:
        public_id = await key_with(product, "eve", Limits())
        async with many() as session:
            assert {(await product.ask(session))[0] for _ in range(20)} == {200}
            async with open_services(load(product.directory / "gateway.toml", {})) as parts:
                await parts.key_admin.revoke_key(public_id, "tester")

            async def refused() -> bool:
                return {(await product.ask(session))[0] for _ in range(20)} == {401}

            assert await until(refused) < 2.0

    with demo(tmp_path / "d", "--workers", "4") as product:
        asyncio.run(play(product))


def test_a_stop_lets_the_calls_under_way_end(tmp_path: Path) -> None:
    async def play(product: Product) -> None:
        async with many() as session:
            asking = [asyncio.ensure_future(product.ask(session, {"temperature": 1 + n})) for n in range(8)]

            async def computing() -> bool:
                return int((await product.calls(session))["in_flight"]) == 8

            await until(computing)
            product.process.send_signal(signal.SIGTERM)
            assert [status for status, _, _ in await asyncio.gather(*asking)] == [200] * 8

    with demo(tmp_path / "d", "--workers", "2", "--latency", "1.0") as product:
        asyncio.run(play(product))
        assert product.process.wait(timeout=20) == 0
