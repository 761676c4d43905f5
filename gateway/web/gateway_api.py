"""The gateway's own calls on the callers' port, `/gateway/v1/*`: which there are, and their answers as JSON.

They need a virtual key like every other call. Nothing here administers anything.
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
LISTED = ("POST /gateway/v1/explain", "GET /gateway/v1/receipts/{id}")
_Work = Callable[[RawRequest, RequestContext, str], Awaitable[Mapping[str, Any]]]


class GatewayApi:
    """Finds what is asked for by path and method."""

    def __init__(self, explain: Explainer) -> None:
        self._explain = explain
        self._routes: Mapping[str, tuple[tuple[str, ...], _Work]] = {
            "explain": (("POST",), self._of_call),
            "receipts": (("GET", "HEAD"), self._of_receipt),
        }

    async def handle(self, raw: RawRequest, context: RequestContext) -> Response:
        """The answer to a request under `PREFIX`; raises a Problem for what is refused."""
        context.endpoint = "gateway"
        name, _, rest = raw.path.removeprefix(PREFIX).partition("/")
        if name not in self._routes or (name == "receipts") != bool(rest):
            raise Problem(UNKNOWN_PATH, "See GET / for what is here.")
        methods, work = self._routes[name]
        if raw.method not in methods:
            raise Problem(WRONG_METHOD, headers={"Allow": ", ".join(methods)})
        content = orjson.dumps(await work(raw, context, rest))
        return Response(200, content, {"Cache-Control": "private, no-store", "X-Request-Id": context.request_id})

    async def _of_call(self, raw: RawRequest, context: RequestContext, _: str) -> Mapping[str, Any]:
        return await self._explain.call(raw, context)

    async def _of_receipt(self, raw: RawRequest, context: RequestContext, identifier: str) -> Mapping[str, Any]:
        return await self._explain.receipt(raw, context, identifier)
