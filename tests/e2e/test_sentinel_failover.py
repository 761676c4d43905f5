"""A failover by Sentinels under load: nobody is locked out, nothing revoked comes back, no limit is exceeded."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.contracts.own_servers import OwnServer, Sentinels, sentinels
from tests.e2e.own_stores import Served, now, served
from tests.e2e.product import until

CALLERS = 4
UNITS = 1400
STATE_USER = "datapw"


async def ask_on(
    product: Served, session: aiohttp.ClientSession, caller: int, until_refused: asyncio.Event, seen: list[Any]
) -> None:
    """Cold calls, one after the other, until the day's units are used up."""
    number = 0
    while not until_refused.is_set():
        number += 1
        status, _, body = await product.ask(session, {"temperature": 1.0, "num_steps": 1, "strategy": "random"})
        seen.append((now(), status))
        if status == 403:
            assert b"quota-exhausted" in body
            until_refused.set()
        await asyncio.sleep(0.05)


async def play(product: Served, group: Sentinels, revoked: str, stranger: str) -> None:
    async with aiohttp.ClientSession() as session:
        await until(lambda: replicated(group), 20)
        used_up, seen = asyncio.Event(), list[Any]()
        callers = [asyncio.ensure_future(ask_on(product, session, n, used_up, seen)) for n in range(CALLERS)]
        await until(lambda: asyncio.sleep(0, len(seen) > 40), 20)
        killed_at = now()
        group.servers[0].kill()
        async with asyncio.timeout(90):
            await asyncio.gather(*callers)
        statuses = Counter(status for _, status in seen)
        assert set(statuses) <= {200, 403, 503}, statuses
        after = [at - killed_at for at, status in seen if status == 200 and at > killed_at + 1.0]
        assert after, "nobody was served again"
        assert min(after) < 15.0
        assert (await product.calls(session))["units"] <= UNITS
        await with_key(product, session, stranger, {200})
        await with_key(product, session, revoked, {401})
        group.servers[0].start()
        await until(lambda: demoted(group), 30)
        await with_key(product, session, revoked, {401})
        await with_key(product, session, stranger, {200})
        assert (await product.ask(session, {"temperature": 1.5}))[0] == 403
        assert (await product.calls(session))["units"] <= UNITS + 14  # of the stranger, who has units of their own


async def with_key(product: Served, session: aiohttp.ClientSession, key: str, statuses: set[int]) -> None:
    mine, product.headers = product.headers, {"Authorization": f"Bearer {key}"}
    try:
        assert (await product.ask(session))[0] in statuses
    finally:
        product.headers = mine


async def replicated(group: Sentinels) -> bool:
    replication = group.servers[0].say("INFO", "replication")
    seen = [sentinel.say("SENTINEL MASTERS")["esm"] for sentinel in group.sentinels]
    return replication["connected_slaves"] == 2 and all(
        state["num-other-sentinels"] == 2 and state["num-slaves"] == 2 for state in seen
    )


async def demoted(group: Sentinels) -> bool:
    return bool(group.servers[0].say("ROLE")[0] == "slave")


def test_a_killed_primary_under_load(tmp_path: Path) -> None:
    cache = OwnServer(tmp_path / "cache", "--maxmemory", "64mb")
    with sentinels(tmp_path / "group", ("--appendonly", "yes")) as group:
        try:
            cache.start()
            urls = f'state_url = "redis+sentinel://{group.hosts}/esm"\ncache_url = "{cache.url}"'
            limits = f"[limits.default]\nunits_per_day = {UNITS}\n"
            with served(tmp_path / "g", urls, limits, workers=2) as product:
                mine, leaver, stranger = (product.new_key(user) for user in ("ada", "leaver", "bob"))
                product.command("keys", "revoke", leaver["public_id"], "--by", "tester")
                product.headers = {"Authorization": f"Bearer {mine['key']}"}
                asyncio.run(play(product, group, leaver["key"], stranger["key"]))
                assert len(product.lines("the state store is lost")) <= 2 * product_workers(product)
                assert product.lines("the state store is back after")
        finally:
            cache.kill()


def product_workers(product: Served) -> int:
    return len(product.workers())
