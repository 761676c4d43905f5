"""Between aiohttp and the request flow: every exception becomes a problem document here."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from itertools import count

from aiohttp import web

from gateway.core.metrics import IN_FLIGHT
from gateway.core.problems import INTERNAL, WRONG_METHOD, Problem
from gateway.core.types import Response
from gateway.flow.context import RequestContext
from gateway.flow.pipeline import Pipeline
from gateway.flow.respond import Responder
from gateway.ports import Clock, Meter
from gateway.web.gateway_api import PREFIX, GatewayApi
from gateway.web.reply import reply
from gateway.web.request import AiohttpRequest
from gateway.web.server import QuietConnection
from gateway.web.unsent_answers import LARGE

log = logging.getLogger(__name__)
# As nginx logs it; it is never sent.
HUNG_UP = 499
PAGE_METHODS = ("GET", "HEAD")
Page = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Proxy:
    """Handles every request: the pipeline serves the upstream's paths, `api` and `pages` the gateway's own.

    `body_pace` is the least pace of a body, in bytes a second.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        api: GatewayApi,
        responder: Responder,
        pages: dict[str, Page],
        clock: Clock,
        meter: Meter,
        body_pace: int,
    ) -> None:
        self._pipeline, self._api, self._responder, self._pages = pipeline, api, responder, pages
        self._clock, self._meter, self._body_pace = clock, meter, body_pace
        self._in_flight = 0
        # A random prefix and a counter: unique over workers and restarts, without a system call per request.
        self._id_prefix, self._ids = clock.token(6).hex(), count(1)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = AiohttpRequest(request, self._body_pace)
        fault = getattr(request, "fault", None)
        page = self._pages.get(raw.path)
        if page is not None and fault is None and raw.method in PAGE_METHODS:
            return await page(request)
        context = RequestContext(f"{self._id_prefix}{next(self._ids):06x}", self._clock.monotonic)
        self._count(+1)
        try:
            response = await self._answer(raw, context, fault)
        except asyncio.CancelledError:
            # The caller hung up (or the worker stops): nobody will read a response, but the request has an outcome.
            context.outcome = "hung_up"
            self._responder.account(context, Response(HUNG_UP, b"", {}))
            raise
        finally:
            self._count(-1)
        connection, who = request.protocol, context.who
        if who is not None and isinstance(connection, QuietConnection):
            connection.key_accepted = True
            if len(response.body) >= LARGE:
                connection.answers(request, who.user, len(response.body))
        self._responder.account(context, response)
        return reply(request, response)

    async def _answer(self, raw: AiohttpRequest, context: RequestContext, fault: Problem | None) -> Response:
        try:
            if fault is not None:
                raise fault
            if raw.path in self._pages:
                raise Problem(WRONG_METHOD, headers={"Allow": ", ".join(PAGE_METHODS)})
            if raw.method == "CONNECT" or raw.path == "*":
                # About no path at all, but the gateway as a whole (RFC 9110 sections 9.3.6 and 9.3.7).
                raise Problem(WRONG_METHOD, headers={"Allow": ", ".join((*PAGE_METHODS, "POST"))})
            if raw.path.startswith(PREFIX):
                return await self._api.handle(raw, context)
            return await self._pipeline.handle(raw, context)
        except Problem as problem:
            # Its traceback leads to frames that hold the body, and from there often back to it: such a circle would
            # stay until the collector comes, which it seldom does here (wiring/worker.py).
            problem.__traceback__ = problem.__context__ = problem.__cause__ = None
            return self._responder.problem(problem, context)
        except ConnectionError:
            # The caller disconnected while sending; nobody will read the response.
            return self._responder.problem(Problem(INTERNAL), context)
        except Exception as error:
            # Type and location only: the text of an error may quote what a caller sent.
            where = "; ".join(f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__))
            log.error("request %s failed: %s at %s", context.request_id, type(error).__name__, where)
            return self._responder.problem(Problem(INTERNAL), context)

    def _count(self, change: int) -> None:
        self._in_flight += change
        self._meter.gauge(IN_FLIGHT, self._in_flight, "requests")
