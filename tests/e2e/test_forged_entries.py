"""Whoever can write to the cache store can plant nothing: every byte flipped, entries swapped, on a real store."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from tests.e2e.product import Product
from tests.e2e.test_lost_stores import serving

OTHER = {"inputs": {"sequence": [0, 20, 32, 5, 32, 10, 2]}}


async def entries(store: "Redis") -> dict[bytes, bytes]:
    found = {key: await store.get(key) async for key in store.scan_iter(match="esmgw:entry:*")}
    return {key: blob for key, blob in found.items() if isinstance(blob, bytes)}


async def is_hit(asking: Awaitable[tuple[int, Any, bytes]]) -> bool:
    status, headers, _ = await asking
    assert status == 200
    return "; hit" in headers["Cache-Status"]


async def flip_each_byte(product: Product, session: aiohttp.ClientSession, store: "Redis") -> None:
    first = (await product.ask(session))[2]
    ((key, blob),) = (await entries(store)).items()
    assert await is_hit(product.ask(session))
    accepted = 0
    for at in range(len(blob)):
        await store.set(key, blob[:at] + bytes([blob[at] ^ 1 << at % 8]) + blob[at + 1 :], px=100_000)
        status, headers, body = await product.ask(session)
        accepted += "; hit" in headers["Cache-Status"]
        assert (status, body) == (200, first)
    assert accepted == 0
    assert len(blob) > 100


async def swap_two(product: Product, session: aiohttp.ClientSession, store: "Redis") -> None:
    one, two = (await product.ask(session))[2], (await product.ask(session, OTHER))[2]
    assert one != two
    (a, at_a), (b, at_b) = (await entries(store)).items()
    await store.set(a, at_b, px=100_000)
    await store.set(b, at_a, px=100_000)
    for changes, body in ((None, one), (OTHER, two)):
        status, headers, got = await product.ask(session, changes)
        assert "fwd=miss" in headers["Cache-Status"]
        assert (status, got) == (200, body)
        assert await is_hit(product.ask(session, changes))


def test_no_flipped_byte_and_no_swapped_entry_is_ever_served(tmp_path: Path) -> None:
    async def play(product: Product, socket: Path) -> None:
        store = Redis(unix_socket_path=str(socket))
        async with aiohttp.ClientSession() as session:
            await flip_each_byte(product, session, store)
            await swap_two(product, session, store)
        await store.aclose()

    with serving(tmp_path) as (product, _, cache):
        asyncio.run(play(product, cache.socket))
