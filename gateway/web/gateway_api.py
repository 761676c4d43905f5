"""The gateway's own API, `/gateway/v1/*`: explanations and receipts as JSON.

Like every other request they need a virtual key. There is no administration here.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from gateway.core.problems import UNKNOWN_PATH, WRONG_METHOD, Problem
from gateway.core.types import Response
from gateway.flow.context import RequestContext
from gateway.flow.explain import Explainer
from gateway.ports import RawRequest

PREFIX = "/gateway/v1/"
ROUTES = ("POST /gateway/v1/explain", "GET /gateway/v1/receipts/{id}")
_Handler = Callable[[RawRequest, RequestContext, str], Awaitable[Mapping[str, Any]]]


class GatewayApi:
    """Routes by path and method."""

    def __init__(self, explain: Explainer) -> None:
        self._explain = explain
        self._routes: Mapping[str, tuple[tuple[str, ...], _Handler]] = {
            "explain": (("POST",), self._explain_call),
            "receipts": (("GET", "HEAD"), self._read_receipt),
        }

    async def handle(self, raw: RawRequest, context: RequestContext) -> Response:
        """The response to a request under `PREFIX`; raises a Problem."""
        context.endpoint = "gateway"
        name, _, rest = raw.path.removeprefix(PREFIX).partition("/")
        if name not in self._routes or (name == "receipts") != bool(rest):
            raise Problem(UNKNOWN_PATH, "GET / lists the endpoints.")
        methods, handler = self._routes[name]
        if raw.method not in methods:
            raise Problem(WRONG_METHOD, headers={"Allow": ", ".join(methods)})
        content = orjson.dumps(await handler(raw, context, rest))
        return Response(200, content, {"Cache-Control": "private, no-store", "X-Request-Id": context.request_id})

    async def _explain_call(self, raw: RawRequest, context: RequestContext, _: str) -> Mapping[str, Any]:
        return await self._explain.call(raw, context)

    async def _read_receipt(self, raw: RawRequest, context: RequestContext, identifier: str) -> Mapping[str, Any]:
        return await self._explain.receipt(raw, context, identifier)
