"""Gateways of the test's own, each with a directory and a secret, and an upstream that can be switched off."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.product import COMMAND, until
from tests.e2e.test_lost_stores import free_port

READY_S = 40.0


class Sandbox:
    """The stand-in upstream, until it is `killed`."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rpartition(":")[2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.sandbox", "--port", port], stdout=subprocess.DEVNULL
        )

    def killed(self) -> None:
        self._process.kill()
        self._process.wait()


class Lab:
    """`esm-gateway serve` on embedded stores of its own, and the command line beside it."""

    def __init__(self, directory: Path, upstream: str, lame_duck_s: float = 0.0) -> None:
        directory.mkdir()
        self.directory, self.url = directory, f"http://127.0.0.1:{free_port()}"
        (directory / "upstream-key").touch(0o600)
        (directory / "upstream-key").write_text("a-key-of-the-upstream")
        self.config = directory / "gateway.toml"
        self.config.write_text(
            f'data_dir = "data"\n[listen]\nport = {self.url.rpartition(":")[2]}\nmetrics_port = 0\nworkers = 2\n'
            f"lame_duck_s = {lame_duck_s}\n"
            f'[upstream]\nurl = "{upstream}"\nretries = 0\n[[upstream.keys]]\nid = "lab"\nfile = "upstream-key"\n'
        )

    @contextmanager
    def serving(self) -> Iterator["Lab"]:
        with (self.directory / "stderr").open("ab") as complaints:
            process = subprocess.Popen(
                [*COMMAND, "serve", "--config", str(self.config)], stdout=subprocess.DEVNULL, stderr=complaints
            )
        try:
            asyncio.run(self._ready())
            yield self
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=READY_S)

    def command(self, *words: str) -> Any:
        """What a command says, as JSON."""
        line = [*COMMAND, *words, "--config", str(self.config), "--json"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refusal(self, *words: str) -> str:
        """What a command says that fails."""
        line = [*COMMAND, *words, "--config", str(self.config)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    async def _ready(self) -> None:
        async with aiohttp.ClientSession() as session:

            async def answers() -> bool:
                try:
                    async with session.get(f"{self.url}/readyz") as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    return False

            await until(answers, READY_S)


async def post(
    lab: Lab, session: aiohttp.ClientSession, key: str, call: tuple[str, Mapping[str, Any]], cache_control: str = ""
) -> tuple[int, Mapping[str, str], bytes]:
    endpoint, body = call
    headers = {"Authorization": f"Bearer {key}", **({"Cache-Control": cache_control} if cache_control else {})}
    async with session.post(f"{lab.url}/api/v1/{endpoint}", json=body, headers=headers) as response:
        return response.status, dict(response.headers), await response.read()


async def receipt(lab: Lab, session: aiohttp.ClientSession, key: str, identifier: str) -> Mapping[str, Any]:
    """What the receipt of an answer says there."""
    headers = {"Authorization": f"Bearer {key}"}
    async with session.get(f"{lab.url}/gateway/v1/receipts/{identifier}", headers=headers) as response:
        assert response.status == 200
        told: Mapping[str, Any] = await response.json()
        return told
