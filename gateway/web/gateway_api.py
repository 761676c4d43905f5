"""The gateway's own API, `/gateway/v1/*`: explanations, receipts, and signed statements of receipts, as JSON.

Like every other request they need a virtual key, and are charged to its user's rate before they are read. There is no
administration here.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from gateway.core.problems import UNKNOWN_PATH, WRONG_METHOD, Problem
from gateway.core.types import Principal, Response
from gateway.flow.context import RequestContext
from gateway.flow.explain import Explainer
from gateway.ports import RawRequest

PREFIX = "/gateway/v1/"
ROUTES = (
    "POST /gateway/v1/explain",
    "GET /gateway/v1/receipts/{id}",
    "GET /gateway/v1/statements/{statement}",
    "GET /gateway/v1/signing-key",
)
_WITH_REST = ("receipts", "statements")
_Handler = Callable[[RawRequest, Principal, RequestContext, str], Awaitable[Mapping[str, Any]]]


class GatewayApi:
    """Routes by path and method."""

    def __init__(self, explain: Explainer) -> None:
        self._explain = explain
        self._routes: Mapping[str, tuple[tuple[str, ...], _Handler]] = {
            "explain": (("POST",), self._explain_call),
            "receipts": (("GET", "HEAD"), self._read_receipt),
            "statements": (("GET", "HEAD"), self._check_statement),
            "signing-key": (("GET", "HEAD"), self._tell_key),
        }

    async def handle(self, raw: RawRequest, context: RequestContext) -> Response:
        """The response to a request under `PREFIX`; raises a Problem."""
        context.endpoint = "gateway"
        try:
            handler, rest = self._find(raw)
        except Problem:
            if raw.header("Authorization") is not None:
                await self._explain.admit(raw, context)
            raise
        who, rate = await self._explain.admit(raw, context)
        content = orjson.dumps(await handler(raw, who, context, rest))
        fields = {"Cache-Control": "private, no-store", "X-Request-Id": context.request_id, **rate}
        return Response(200, content, fields)

    def _find(self, raw: RawRequest) -> tuple[_Handler, str]:
        """The handler and the rest of the path; a 404 or 405 problem."""
        name, _, rest = raw.path.removeprefix(PREFIX).partition("/")
        if name not in self._routes or (name in _WITH_REST) != bool(rest):
            raise Problem(UNKNOWN_PATH, "GET / lists the endpoints.")
        methods, handler = self._routes[name]
        if raw.method not in methods:
            raise Problem(WRONG_METHOD, headers={"Allow": ", ".join(methods)})
        return handler, rest

    async def _explain_call(
        self, raw: RawRequest, who: Principal, context: RequestContext, _: str
    ) -> Mapping[str, Any]:
        return await self._explain.call(raw, who, context)

    async def _read_receipt(
        self, raw: RawRequest, who: Principal, context: RequestContext, identifier: str
    ) -> Mapping[str, Any]:
        return self._explain.receipt(identifier, context, raw.query)

    async def _check_statement(
        self, _: RawRequest, who: Principal, context: RequestContext, text: str
    ) -> Mapping[str, Any]:
        return self._explain.statement(text, context)

    async def _tell_key(self, _: RawRequest, who: Principal, context: RequestContext, __: str) -> Mapping[str, Any]:
        return self._explain.signing_key(context)
