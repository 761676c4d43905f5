"""A purge of any kind reaches the memory of every worker within a second."""

import asyncio
import json
import subprocess
import time
from pathlib import Path

import aiohttp

from gateway.core.types import Namespace
from gateway.flow.purge import PurgeRequest
from gateway.settings import load
from gateway.wiring.command_services import CommandServices, open_services
from tests.e2e.product import BODY, COMMAND, Product, demo, many, until

ASKED = 24
"""Callers at once, each on a connection of its own, so that every worker is asked."""
DRAWN = {"strategy": "random", "num_steps": 3, "inputs": {"sequence": [0, *[32] * 60, 2]}}
"""Drawn anew by the upstream each time, and kept: another answer is one that was computed after the purge.

Sixty positions, so that no two draws are ever equal; with two of them one in four hundred is.
"""


async def answers(product: Product, session: aiohttp.ClientSession, named: str) -> list[tuple[float, bytes]]:
    """When each caller asked, and what they got."""

    async def one() -> tuple[float, bytes]:
        asked = time.monotonic()
        status, _, body = await product.ask(session, DRAWN, **({"cache_control": named} if named else {}))
        assert status == 200
        return asked, body

    return await asyncio.gather(*(one() for _ in range(ASKED)))


async def reach(
    product: Product, session: aiohttp.ClientSession, parts: CommandServices, order: PurgeRequest, named: str
) -> float:
    """Seconds after which nobody who asked got what was there before the purge."""
    before: set[bytes] = set()

    async def settled() -> bool:
        nonlocal before
        before = {body for _ in range(3) for _, body in await answers(product, session, named)}
        return len(before) == 1  # in the memory of every worker

    await until(settled)
    await parts.purger.purge(order, "root")
    purged = last = time.monotonic()
    while True:
        old = [asked for asked, body in await answers(product, session, named) if body in before]
        if not old:
            return last - purged
        last = max(last, *old)
        assert last - purged < 10, f"not every worker obeys {order}"


def cache_key(product: Product) -> str:
    """As an administrator learns it."""
    line = [*COMMAND, "cache", "explain", "-", "--json", "--config", str(product.directory / "gateway.toml")]
    done = subprocess.run(line, input=json.dumps({**BODY, **DRAWN}).encode(), capture_output=True, check=True)
    return str(json.loads(done.stdout)["key"])


def test_every_kind_of_purge_is_obeyed_by_every_worker_within_a_second(tmp_path: Path) -> None:
    async def play(product: Product) -> None:
        took: dict[str, float] = {}
        async with open_services(load(product.directory / "gateway.toml", {})) as parts, many() as session:
            await parts.namespace_store.create(Namespace("live", 1.0))

            async def known() -> bool:
                return (await product.ask(session, DRAWN, cache_control="namespace=live"))[0] == 200

            await until(known)
            for name, order in (
                ("everything", PurgeRequest()),
                ("a model", PurgeRequest(model=BODY["model"])),
                ("softly", PurgeRequest(soft=True)),
                ("by age", PurgeRequest(older_than_s=0.001)),
            ):
                took[name] = await reach(product, session, parts, order, "")
            took["a namespace"] = await reach(product, session, parts, PurgeRequest(namespace="live"), "namespace=live")
            one = PurgeRequest(key=await asyncio.to_thread(cache_key, product))
            took["one key"] = await reach(product, session, parts, one, "")
        assert max(took.values()) <= 1.0, took

    with demo(tmp_path / "d", "--workers", "2", "--requests-per-minute", "1000000") as product:
        asyncio.run(play(product))
