"""Our own pages on the callers' port: what is here, is the process alive, can it serve."""

from collections.abc import Awaitable, Callable, Mapping

import orjson
from aiohttp import web

from gateway import __version__
from gateway.endpoints import ENDPOINTS
from gateway.web.gateway_api import LISTED

Checks = Callable[[], Awaitable[Mapping[str, bool]]]


def pages(ready: Checks) -> dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]:
    """Handlers by path. `ready` tells, part by part, whether calls can be served; `cache` alone does not decide."""

    async def index(_: web.BaseRequest) -> web.StreamResponse:
        about = {
            "name": "esm-gateway",
            "version": __version__,
            "endpoints": [f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS],
            "gateway": LISTED,
            "key": "Authorization: Bearer esmgw_...",
        }
        return _json(200, about)

    async def livez(_: web.BaseRequest) -> web.StreamResponse:
        return _json(200, {"alive": True})

    async def readyz(_: web.BaseRequest) -> web.StreamResponse:
        parts = await ready()
        serving = all(fine for part, fine in parts.items() if part != "cache")
        return _json(200 if serving else 503, {"ready": serving, **parts})

    return {"/": index, "/livez": livez, "/readyz": readyz}


def _json(status: int, content: Mapping[str, object]) -> web.Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", "Server": "esm-gateway"}
    return web.Response(status=status, body=orjson.dumps(content), headers=headers)
