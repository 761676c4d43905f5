"""Calls that wait, in the product itself: a key that is revoked meanwhile, and one deadline over two workers."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from gateway.core.types import Limits
from gateway.settings import load
from gateway.wiring.command_services import open_services
from tests.e2e.product import Product, demo, many, until
from tests.e2e.test_charges import charged, key_with


async def status(product: Product, session: aiohttp.ClientSession, steps: int) -> tuple[int, float]:
    began = time.monotonic()
    answered, _, _ = await product.ask(session, {"num_steps": steps})
    return answered, time.monotonic() - began


def test_a_call_that_waits_for_a_place_is_not_sent_with_a_key_that_was_revoked_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_UPSTREAM__MAX_CONCURRENT", "1")

    async def play(product: Product) -> None:
        async with many() as session:
            busy = asyncio.ensure_future(status(product, session, 1))

            async def computing() -> bool:
                return bool((await product.calls(session))["in_flight"])

            await until(computing)
            public_id = await key_with(product, "eve", Limits(units_per_day=1000))
            waiting = asyncio.ensure_future(status(product, session, 2))

            async def reserved() -> bool:
                return await charged(product, public_id) > 0

            await until(reserved)
            async with open_services(load(product.directory / "gateway.toml", {})) as parts:
                await parts.key_admin.revoke_key(public_id, "tester")
            assert (await waiting)[0] == 401
            assert (await busy)[0] == 200
            assert (await product.calls(session))["total"] == 1

            async def refunded() -> bool:
                return await charged(product, public_id) == 0

            await until(refunded)

    with demo(tmp_path / "d", "--workers", "1", "--latency", "4.0") as product:
        asyncio.run(play(product))


def test_callers_on_two_workers_share_one_deadline_and_one_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total_s = 3.0
    for name, value in {
        "UPSTREAM__TOTAL_S": total_s,
        "UPSTREAM__FIRST_BYTE_S": total_s,
        "UPSTREAM__CONNECT_S": 2,
        "UPSTREAM__RETRIES": 4,
        "CACHE__LEASE_S": 2,
        "ADMISSION__RESERVATION_LEASE_S": 33,
        "BREAKER__FAILURES": 50,
    }.items():
        monkeypatch.setenv(f"GATEWAY_{name}", str(value))

    async def play(product: Product) -> None:
        async with many() as session:
            rules = {"rules": [{"latency_s": 2.5, "status": 503, "times": 4}]}
            async with session.post(f"{product.sandbox}/__sandbox/faults", json=rules) as response:
                assert response.status < 300
            told = await asyncio.gather(*(status(product, session, 1) for _ in range(8)))
            assert all(took < total_s + 1.0 for _, took in told), told
            assert {answered for answered, _ in told} == {502}
            # One try; a second would have had half a second. The other worker is told, and asks nobody.
            assert (await product.calls(session))["total"] == 1

    with demo(tmp_path / "d", "--workers", "2") as product:
        asyncio.run(play(product))
