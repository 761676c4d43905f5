"""Between aiohttp and the flow: requests in, responses out, problems and faults at their one border."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from itertools import count

from aiohttp import web

from gateway.core.metrics import IN_FLIGHT
from gateway.core.problems import BODY_TOO_SLOW, INTERNAL, Problem
from gateway.core.types import Response
from gateway.flow.context import RequestContext
from gateway.flow.pipeline import Pipeline
from gateway.flow.respond import Responder
from gateway.ports import Clock, Meter
from gateway.web.gateway_api import PREFIX, GatewayApi
from gateway.web.reply import reply

log = logging.getLogger(__name__)
# For a whole body; whoever sends a byte a minute would otherwise hold a connection for ever.
BODY_S = 120.0
Page = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Incoming:
    """A request of aiohttp's as the flow reads it."""

    __slots__ = ("_request", "method", "path", "query")

    def __init__(self, request: web.BaseRequest) -> None:
        self._request, self.method = request, request.method
        target = request.raw_path
        if target.startswith("/") and not target.startswith("//") and "#" not in target:
            # The usual form (RFC 9112 section 3.2.1), as it was sent; the others are read by who knows them.
            self.path, _, self.query = target.partition("?")
        else:
            url = request.rel_url
            self.path, self.query = url.raw_path, url.raw_query_string

    def header(self, name: str) -> str | None:
        lines = self._request.headers.getall(name, None)
        if lines is None:
            return None
        # What stands in several lines is one list (RFC 9110 section 5.3): no directive may be lost.
        return lines[0] if len(lines) == 1 else ", ".join(lines)

    async def read(self, max_bytes: int) -> bytes | None:
        length = self._request.content_length
        if length is not None and length > max_bytes:
            return None
        content = self._request.content
        if content.is_eof():
            body = content.read_nowait()
            return body if len(body) <= max_bytes else None
        content.set_read_chunk_size(max_bytes)  # it is kept whole anyway; smaller steps would stop the sender
        try:
            async with asyncio.timeout(BODY_S):
                return await self._pieces(max_bytes)
        except TimeoutError:
            raise Problem(BODY_TOO_SLOW) from None

    async def _pieces(self, max_bytes: int) -> bytes | None:
        content = self._request.content
        pieces: list[bytes] = []
        size = 0
        while not content.at_eof():
            piece = await content.readany()
            size += len(piece)
            if size > max_bytes:
                return None
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Proxy:
    """The handler of the callers' port: the flow for the upstream's paths, `api` and pages for our own few."""

    def __init__(
        self,
        pipeline: Pipeline,
        api: GatewayApi,
        responder: Responder,
        pages: dict[str, Page],
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._pipeline, self._api, self._responder, self._pages = pipeline, api, responder, pages
        self._clock, self._meter = clock, meter
        self._under_way = 0
        # Unpredictable once, then counted: unique over workers and restarts without a system call a request.
        self._first_id, self._ids = clock.token(6).hex(), count(1)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        incoming = Incoming(request)
        page = self._pages.get(incoming.path)
        if page is not None and incoming.method in ("GET", "HEAD"):
            return await page(request)
        context = RequestContext(f"{self._first_id}{next(self._ids):06x}", self._clock.monotonic)
        self._count(+1)
        try:
            response = await self._answer(incoming, context)
        finally:
            self._count(-1)
        self._responder.account(context, response)
        return reply(request, response)

    async def _answer(self, incoming: Incoming, context: RequestContext) -> Response:
        try:
            if incoming.path.startswith(PREFIX):
                return await self._api.handle(incoming, context)
            return await self._pipeline.handle(incoming, context)
        except Problem as problem:
            return self._responder.problem(problem, context)
        except ConnectionError:
            # The caller went away while sending; nobody will read the answer.
            return self._responder.problem(Problem(INTERNAL), context)
        except Exception as fault:
            # Names and places only: the text of an error may quote what a caller sent.
            where = "; ".join(f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__))
            log.error("request %s failed: %s at %s", context.request_id, type(fault).__name__, where)
            return self._responder.problem(Problem(INTERNAL), context)

    def _count(self, change: int) -> None:
        self._under_way += change
        self._meter.gauge(IN_FLIGHT, self._under_way, "requests")
