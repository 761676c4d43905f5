"""The Prometheus endpoint, on a port of its own: not reachable for callers, and without virtual keys.

The supervisor serves it, so it also answers while workers are replaced. It counts nothing itself.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

Render = Callable[[], tuple[bytes, str]]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class MetricsListener:
    """/metrics and /livez on one socket."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._pages: dict[str, Handler] = {"/metrics": self._metrics, "/livez": self._livez}
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None))

    async def open(self, listener: socket.socket) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        page = self._pages.get(request.path)
        if page is None or request.method not in ("GET", "HEAD"):
            return web.Response(status=404 if page is None else 405, text="Try /metrics or /livez.\n")
        return await page(request)

    async def _metrics(self, _: web.BaseRequest) -> web.StreamResponse:
        text, media_type = await asyncio.to_thread(self._render)
        return web.Response(body=text, headers={"Content-Type": media_type})

    async def _livez(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="alive\n")
