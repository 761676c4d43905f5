"""The running product tells a caller once what cannot be reproduced, asks for second opinions, and shows all of it."""

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.product import Product, demo, many, until

PINNED = {"strategy": "random", "num_steps": 2, "inputs": {"sequence": [0, 32, 32, 5, 32, 9, 2]}}


async def shown(session: aiohttp.ClientSession, product: Product) -> dict[str, float]:
    """Every series of the metrics page by its name and labels."""
    async with session.get(product.said["metrics_url"]) as response:
        text = await response.text()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}


def test_over_all_workers_one_answer_in_an_hour_carries_the_sentence(tmp_path: Path) -> None:
    async def ask(product: Product) -> None:
        async with many() as session:
            answers = [await product.ask(session, PINNED) for _ in range(5)]
            answers += await asyncio.gather(*(product.ask(session, PINNED) for _ in range(20)))
            bodies = [json.loads(body) for status, _, body in answers if status == 200]
            assert len(bodies) == 25
            told = [body["warning_messages"] for body in bodies if "warning_messages" in body]
            assert len(told) == 1
            assert re.fullmatch(r"esm-gateway: temperature 0 does not .* \"strategy\": \"entropy\".*\.", told[0][0])
            assert len({json.dumps(body["outputs"]) for body in bodies}) == 1
            metrics = await shown(session, product)
            assert metrics['esmgw_warnings_total{topic="pinned"}'] == 1
            assert metrics['esmgw_cache_age_seconds_count{class="pinned"}'] == 24
            assert metrics['esmgw_cache_writes_total{result="stored"}'] == 1

    with demo(tmp_path / "d") as product:
        asyncio.run(ask(product))


def test_hits_are_computed_again_and_the_cache_server_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_CACHE__SPOT_CHECK_FRACTION", "1")

    async def ask(product: Product) -> None:
        async with many() as session:
            for _ in range(3):
                status, headers, _ = await product.ask(session)
                assert status == 200
            assert "; hit" in headers["Cache-Status"]

            async def compared() -> bool:
                metrics = await shown(session, product)
                return metrics['esmgw_cache_spot_checks_total{result="same"}'] >= 1

            await until(compared)
            metrics = await shown(session, product)
            assert metrics['esmgw_units_total{endpoint="generate_tensor",event="spot_check"}'] > 0
            assert metrics["esmgw_cache_store_bytes"] > 0
            diverged = [count for name, count in metrics.items() if name.startswith("esmgw_cache_divergence_total")]
            assert diverged == [0.0], "known before it happens"
            assert (await product.calls(session))["total"] >= 2

    with demo(tmp_path / "d") as product:
        asyncio.run(ask(product))
