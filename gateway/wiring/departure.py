"""How a worker leaves: first it says so, then it accepts nobody new, then it finishes what has begun.

Whoever spreads callers over several gateways asks `/readyz` every few seconds. Until they have noticed, callers are
served as before, but each answer closes its connection. Then the listener goes, with nobody left in its queue: the
system resets whoever waits there when a listener is closed.
"""

import asyncio
import contextlib
import logging
import socket

from aiohttp import web

from gateway.flow.runtime import BackgroundTasks
from gateway.settings.serving import ListenSettings
from gateway.web.server import Server

SETTLING_TURNS = 3
log = logging.getLogger(__name__)


class Departure:
    """One worker's, once: `lame_duck_s` before the listeners close, then `drain_s` for what is under way."""

    def __init__(
        self,
        runner: web.ServerRunner,
        server: Server,
        tasks: BackgroundTasks,
        sockets: list[socket.socket],
        listen: ListenSettings,
    ) -> None:
        self._runner, self._server, self._tasks, self._sockets = runner, server, tasks, sockets
        self._lame_duck_s, self._drain_s = listen.lame_duck_s, listen.drain_s

    async def leave(self, hurry: asyncio.Event) -> None:
        """Return when everybody was answered, or `drain_s` after the listeners have closed."""
        self._server.table.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._lame_duck_s):
                await hurry.wait()
        await self._stop_listening()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_s
        left = await self._server.drain(deadline)
        if left:
            log.warning("cut off after listen.drain_s: %d connections with unfinished requests", left)
        for connection in self._server.connections:
            connection.force_close()
        await self._runner.cleanup()
        await self._tasks.drain(max(0.0, deadline - loop.time()))

    async def _stop_listening(self) -> None:
        """Take over whoever waits in the listeners' queues, and close them in the same turn of the loop."""
        loop = asyncio.get_running_loop()
        for listener in self._sockets:
            # asyncio makes a connection of what it has accepted some turns later, and none once its server is closed
            # (base_events.Server._attach); uvloop does at once, and has no reader.
            loop.remove_reader(listener)
        for _ in range(SETTLING_TURNS):
            await asyncio.sleep(0)
        callers: list[socket.socket] = []
        for listener in self._sockets:
            callers += _waiting(listener)
        for site in self._runner.sites:
            await site.stop()
        for caller in callers:
            with contextlib.suppress(OSError):
                caller.setblocking(False)
                await loop.connect_accepted_socket(self._server, caller)


def _waiting(listener: socket.socket) -> list[socket.socket]:
    callers: list[socket.socket] = []
    with contextlib.suppress(OSError):  # BlockingIOError: nobody is left; or no descriptor is
        while True:
            callers.append(listener.accept()[0])
    return callers
