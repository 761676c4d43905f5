"""A store that is lost and comes back under a running gateway: what is said, what is served, what readiness says."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.contracts.own_servers import OwnServer
from tests.e2e.own_stores import Served, served
from tests.e2e.product import until

FLAGGED = {"potential_sequence_of_concern": True}


@contextmanager
def gateway(directory: Path) -> Iterator[tuple[Served, OwnServer, OwnServer]]:
    state, cache = OwnServer(directory / "state", "--appendonly", "yes"), OwnServer(directory / "cache")
    try:
        state.start()
        cache.start("--maxmemory", "64mb")
        urls = f'state_url = "{state.url}"\ncache_url = "{cache.url}"'
        with served(directory / "g", urls) as product:
            made = product.new_key("ada")
            product.headers = {"Authorization": f"Bearer {made['key']}"}
            yield product, state, cache
    finally:
        state.kill()
        cache.kill()


async def degraded(product: Served, session: aiohttp.ClientSession) -> list[str]:
    status, said = await product.readyz(session)
    assert status == 200, said
    found: list[str] = said["degraded"]
    return found


def test_losing_and_finding_a_store_is_said_once_each_and_hits_go_on_meanwhile(tmp_path: Path) -> None:
    async def play(product: Served, state: OwnServer) -> None:
        async with aiohttp.ClientSession() as session:
            first = await product.ask(session)
            assert first[0] == 200
            assert await degraded(product, session) == []
            state.kill()

            async def lost() -> bool:
                return await degraded(product, session) == ["state"]

            await until(lost, 5)
            for _ in range(20):
                status, headers, body = await product.ask(session)
                assert (status, body) == (200, first[2])
                assert "hit" in headers["Cache-Status"]
            sent = (await product.calls(session))["total"]
            for number in range(5):
                assert (await product.ask(session, {"num_steps": 2, "temperature": 1.0 + number}))[0] == 503
            assert (await product.ask(session, FLAGGED))[0] == 503
            assert (await product.calls(session))["total"] == sent
            assert "the state store is lost" in product.command("health")
            assert await product.metric(session, 'esmgw_store_unusable{store="state"}') == 1.0
            state.start()

            async def found() -> bool:
                return await degraded(product, session) == []

            await until(found, 5)
            assert (await product.ask(session, {"num_steps": 2}))[0] == 200
            assert len(product.lines("the state store is lost")) == 1
            assert product.lines(r"is lost \((disconnected|refused)\): ")
            assert len(product.lines(r"the state store is back after \d+\.\d s")) == 1
            assert not product.lines("cache store")
            assert await product.metric(session, 'esmgw_store_unusable{store="state"}') == 0.0

    with gateway(tmp_path) as (product, state, _):
        asyncio.run(play(product, state))


@pytest.mark.parametrize(
    "break_it, mend_it, said",
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), r"\(full\): its memory is full"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), r"\(read_only\): it is a replica"),
        (
            ("ACL", "SETUSER", "default", "-zadd"),
            ("ACL", "SETUSER", "default", "+zadd"),
            r"\(permission\): ",
        ),
    ],
)
def test_a_store_that_refuses_changes_is_lost_until_it_takes_them(
    tmp_path: Path, break_it: Any, mend_it: Any, said: str
) -> None:
    async def play(product: Served, state: OwnServer) -> None:
        async with aiohttp.ClientSession() as session:
            assert (await product.ask(session))[0] == 200
            state.say(*break_it)
            assert (await product.ask(session, {"temperature": 1.0}))[0] == 503

            async def lost() -> bool:
                return await degraded(product, session) == ["state"]

            await until(lost, 5)
            assert (await product.ask(session))[0] == 200
            await asyncio.sleep(1.2)  # polls are answered all the time
            assert await degraded(product, session) == ["state"]
            state.say(*mend_it)

            async def found() -> bool:
                return await degraded(product, session) == []

            await until(found, 5)
            assert (await product.ask(session, {"temperature": 1.1}))[0] == 200
            assert len(product.lines("state store is lost")) == len(product.lines(said)) == 1
            assert len(product.lines("state store is back")) == 1

    with gateway(tmp_path) as (product, state, _):
        asyncio.run(play(product, state))


def test_a_store_that_comes_back_evicting_is_not_used_until_it_no_longer_does(tmp_path: Path) -> None:
    async def play(product: Served, state: OwnServer) -> None:
        async with aiohttp.ClientSession() as session:
            assert (await product.ask(session))[0] == 200
            state.kill()
            state.start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
            await until(lambda: asyncio.sleep(0, bool(product.lines("store is lost"))), 5)
            for number in range(10):
                assert (await product.ask(session, {"temperature": 1.0 + number}))[0] == 503
            assert "CANNOT be used (unsuitable): the state store evicts" in product.command("stores", "check", status=1)
            state.say("CONFIG", "SET", "maxmemory-policy", "noeviction")

            async def found() -> bool:
                return await degraded(product, session) == []

            await until(found, 5)
            assert (await product.ask(session, {"temperature": 5.5}))[0] == 200

    with gateway(tmp_path) as (product, state, _):
        asyncio.run(play(product, state))


def test_a_state_store_that_is_slower_to_start_than_the_gateway_is_checked_all_the_same(tmp_path: Path) -> None:
    async def play(product: Served, state: OwnServer) -> None:
        async with aiohttp.ClientSession() as session:
            assert await degraded(product, session) == ["state"]
            state.start("--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "no")
            said = product.command("keys", "create", "--user", "ada", "--by", "x", status=1)
            assert "unsuitable): the state store evicts (maxmemory-policy allkeys-lru)" in said
            await asyncio.sleep(1.2)
            assert await degraded(product, session) == ["state"]
            state.say("CONFIG", "SET", "maxmemory-policy", "noeviction")

            async def found() -> bool:
                return await degraded(product, session) == []

            await until(found, 5)
            assert product.lines("the state store cannot be used yet .refused.: nobody listens")
            assert product.lines("the state store has no append-only file")

    state, cache = OwnServer(tmp_path / "state"), OwnServer(tmp_path / "cache", "--maxmemory", "64mb")
    try:
        cache.start()
        urls = f'state_url = "{state.url}"\ncache_url = "{cache.url}"'
        with served(tmp_path / "g", urls) as product:
            asyncio.run(play(product, state))
    finally:
        state.kill()
        cache.kill()
