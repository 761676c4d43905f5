"""`GET /` lists the endpoints; `/livez` and `/readyz` are health checks."""

from collections.abc import Awaitable, Callable, Mapping

import orjson
from aiohttp import web

from gateway import __version__
from gateway.core.readiness import ReadyState
from gateway.endpoints import ENDPOINTS
from gateway.web.gateway_api import ROUTES


def pages(ready: Callable[[], ReadyState]) -> dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]:
    """Handlers by path. `ready` says what is known: anybody may ask, so nothing is looked up for the answer."""

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

    async def readyz(_: web.BaseRequest) -> web.StreamResponse:
        state = ready()
        content = {"ready": not state.faults, "faults": state.faults, "degraded": state.degraded}
        return _json(503 if state.faults else 200, content)

    return {"/": index, "/livez": livez, "/readyz": readyz}


def _json(status: int, content: Mapping[str, object]) -> web.Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", "Server": "esm-gateway"}
    return web.Response(status=status, body=orjson.dumps(content), headers=headers)
