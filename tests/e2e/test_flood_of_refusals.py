"""A flood of refused declared calls, over two real workers: few records, and after the stop every refusal is in one."""

import asyncio
from pathlib import Path

import aiohttp
import orjson

from gateway.core.audit_summary import SINGLES
from gateway.core.types import Limits
from gateway.settings import load
from gateway.wiring.audit import chain_files, verify_files
from tests.e2e.product import Product, demo, many
from tests.e2e.test_charges import key_with

CALLS, WORKERS = 400, 2


async def flood(product: Product) -> None:
    await key_with(product, "mallory", Limits(requests_per_minute=100_000))
    gate = asyncio.Semaphore(16)

    async def refused(session: aiohttp.ClientSession, n: int) -> int:
        async with gate:
            return (await product.ask(session, {"potential_sequence_of_concern": True, "temperature": n}))[0]

    async with many() as session:
        assert set(await asyncio.gather(*(refused(session, n) for n in range(CALLS)))) == {403}


def test_every_refusal_of_a_flood_is_on_record_once_in_a_few_records(tmp_path: Path) -> None:
    with demo(tmp_path / "data", "--workers", str(WORKERS)) as product:
        asyncio.run(flood(product))
    settings = load(tmp_path / "data" / "gateway.toml", {})
    lines = settings.audit_file.read_bytes().splitlines()
    records = [record for record in map(orjson.loads, lines) if record["kind"].startswith("policy_")]
    assert sum(record["facts"].get("refused", 1) for record in records) == CALLS
    assert len(records) <= WORKERS * (SINGLES + 1)
    assert {record["facts"]["user"] for record in records} == {"mallory"}
    assert verify_files(settings, chain_files(settings)).head.seq == len(lines)
