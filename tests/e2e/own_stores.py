"""`esm-gateway serve` on stores of the test's own, before a sandbox upstream of its own, with what it says kept."""

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.labs import Sandbox
from tests.e2e.product import COMMAND, Product, until
from tests.e2e.test_lost_stores import free_port, upstream_files


class Served(Product):
    """A running gateway with its settings file and its log."""

    def __init__(self, process: "subprocess.Popen[bytes]", directory: Path, sandbox: str, port: int) -> None:
        said = {"url": f"http://127.0.0.1:{port}", "sandbox_url": sandbox, "key": ""}
        super().__init__(process, said, directory / "data")
        self.config, self._log = directory / "gateway.toml", directory / "log"

    def lines(self, pattern: str) -> list[str]:
        """The lines of the log that match."""
        return [line for line in self._log.read_text().splitlines() if re.search(pattern, line)]

    def command(self, *words: str, status: int = 0) -> str:
        line = [*COMMAND, *words, "--config", str(self.config)]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def new_key(self, user: str) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.command("keys", "create", "--user", user, "--by", "tester", "--json"))
        return made

    async def readyz(self, session: aiohttp.ClientSession) -> tuple[int, Any]:
        async with session.get(f"{self.url}/readyz") as response:
            return response.status, await response.json()

    async def metric(self, session: aiohttp.ClientSession, series: str) -> float:
        """One number of the metrics page."""
        async with session.get(f"{self.metrics}/metrics") as response:
            text = await response.text()
        found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        return float(found.group(1)) if found else float("nan")

    metrics = ""


@contextmanager
def served(directory: Path, stores: str, more: str = "", *, workers: int = 1) -> Iterator[Served]:
    """`stores` are the lines of the table `[stores]`."""
    directory.mkdir(exist_ok=True)
    sandbox, port, metrics_port = Sandbox(), free_port(), free_port()
    master = directory / "master"
    master.touch(0o600)
    master.write_text("m" * 64)
    keys = "\n".join(
        f'[[upstream.keys]]\nid = "k{n}"\nfile = "{file}"\nconcern = {"true" if n else "false"}'
        for n, file in enumerate(upstream_files(directory))
    )
    (directory / "gateway.toml").write_text(
        f'data_dir = "{directory / "data"}"\n[listen]\nport = {port}\nmetrics_port = {metrics_port}\n'
        f'workers = {workers}\n[upstream]\nurl = "{sandbox.url}"\n{keys}\n'
        f'[stores]\n{stores}\n[secrets]\nmaster_file = "{master}"\n{more}\n'
    )
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--config", str(directory / "gateway.toml")],
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={"GATEWAY_CACHE__SPOT_CHECK_FRACTION": "0", **os.environ},
        )
    one = Served(process, directory, sandbox.url, port)
    one.metrics = f"http://127.0.0.1:{metrics_port}"
    try:
        asyncio.run(_ready(one))
        yield one
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)
        sandbox.killed()


async def _ready(one: Served) -> None:
    async with aiohttp.ClientSession() as session:

        async def up() -> bool:
            try:
                return (await one.readyz(session))[0] == 200
            except aiohttp.ClientError:
                return False

        await until(up, 40)


def now() -> float:
    return time.monotonic()
