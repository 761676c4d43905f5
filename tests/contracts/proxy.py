"""A TCP proxy before a store that can lose its replies, and remembers each command that it let through."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import hiredis

# What a client says for itself, beside what it was asked to do.
HOUSEKEEPING = (b"CLIENT", b"COMMAND", b"CLUSTER", b"PING", b"INFO")


class Proxy:
    def __init__(self, target: Path | int) -> None:
        self._target = target
        # None: replies pass; "swallow": they vanish; "cut": the connection ends in their place.
        self.losing: str | None = None
        self.port = 0
        self.commands: list[list[bytes]] = []

    def work(self) -> list[bytes]:
        """The names of the commands that were let through, without housekeeping."""
        return [command[0] for command in self.commands if command[0] not in HOUSEKEEPING]

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator["Proxy"]:
        open_tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            open_tasks.add(task)
            try:
                await self._serve(reader, writer)
            finally:
                open_tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tuple(open_tasks):
                task.cancel()
            await asyncio.gather(*open_tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._target, int):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        else:
            up_reader, up_writer = await asyncio.open_unix_connection(self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._up(reader, up_writer))
                both.create_task(self._down(up_reader, writer))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            up_writer.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                self.commands.append(command)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.losing == "cut":
                # Once: a client that tried again would get through.
                self.losing = None
                break
            if self.losing is None:
                writer.write(data)
                await writer.drain()
        raise ConnectionResetError
