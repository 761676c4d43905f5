"""`GET /` lists the endpoints; `/livez` and `/readyz` are health checks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import orjson
from aiohttp import web

from gateway import __version__
from gateway.endpoints import ENDPOINTS
from gateway.web.gateway_api import ROUTES

Readiness = Callable[[], Awaitable[Mapping[str, bool]]]


def pages(
    ready: Readiness, is_draining: Callable[[], bool] = lambda: False
) -> dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]:
    """Handlers by path. `ready` says which stores answer; without the cache store the gateway is still ready.

    While it `is_draining` it is not: whoever spreads callers is to send no more of them here.
    """

    async def index(_: web.BaseRequest) -> web.StreamResponse:
        about = {
            "name": "esm-gateway",
            "version": __version__,
            "endpoints": [f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS],
            "gateway": ROUTES,
            "key": "Authorization: Bearer esmgw_...",
        }
        return _json(200, about)

    async def livez(_: web.BaseRequest) -> web.StreamResponse:
        return _json(200, {"alive": True})

    looking: asyncio.Future[Mapping[str, bool]] | None = None

    async def readyz(_: web.BaseRequest) -> web.StreamResponse:
        # Anybody may ask, and many at once are answered by one look at the stores.
        nonlocal looking
        if is_draining():
            return _json(503, {"ready": False, "draining": True})
        if looking is None or looking.done():
            looking = asyncio.ensure_future(ready())
        parts = await asyncio.shield(looking)
        is_ready = all(ok for part, ok in parts.items() if part != "cache")
        return _json(200 if is_ready else 503, {"ready": is_ready, **parts})

    return {"/": index, "/livez": livez, "/readyz": readyz}


def _json(status: int, content: Mapping[str, object]) -> web.Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", "Server": "esm-gateway"}
    return web.Response(status=status, body=orjson.dumps(content), headers=headers)
