"""aiohttp's low-level HTTP server, without its router and error pages.

Malformed HTTP gets a problem document that quotes nothing of it; aiohttp's own page would quote the offending header
line, which may contain the key. Silent and idle connections are closed in time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from gateway.core.problems import INTERNAL, NOT_HTTP
from gateway.web.connections import ConnectionTable, address_of, is_closed
from gateway.web.request import READ_BUFFER
from gateway.web.unsent_answers import UnsentAnswers

# For how long the rest of a refused body is read and dropped, so that its sender gets to see the refusal.
LINGER_S = 2.0
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class QuietConnection(RequestHandler):
    """A connection whose errors are answered with problem documents and never quoted."""

    def __init__(self, manager: "Server", *, header_s: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._header_s, self._table, self._unsent = header_s, manager.table, manager.unsent
        self.key_accepted, self.address = False, ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if is_closed(transport):
            # It was opened and closed before its turn came: a task and timers for it would cost a live caller's time.
            cast(asyncio.Transport, transport).abort()
            return
        # The first request has a timeout of its own; aiohttp has one for all (web_protocol.py, 3.14).
        keepalive_timeout, self._keepalive_timeout = self._keepalive_timeout, self._header_s
        self.address = address_of(transport)
        super().connection_made(transport)
        self._keepalive_timeout = keepalive_timeout

    def answers(self, request: web.BaseRequest, user: str, size: int) -> None:
        """A large answer is going to be sent to this user."""

        def taken() -> int:
            unsent = 0 if self.transport is None else self.transport.get_write_buffer_size()
            return request.writer.output_size - unsent

        self._unsent.begin(self, user, size, taken)

    def drop(self) -> None:
        """Close it now, even where the other end does not read what is left to send."""
        transport = self.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()
        self.force_close()

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Handler
    ) -> tuple[web.StreamResponse, bool]:
        # aiohttp's step from a parsed head to a sent answer: a request in progress (web_protocol.py, 3.14).
        self._table.begin(self)
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            self._table.end(self)
            self._unsent.end(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        kind = NOT_HTTP if 400 <= status < 500 else INTERNAL
        body = orjson.dumps({"type": kind.uri, "title": kind.title, "status": kind.status})
        response = web.Response(
            status=kind.status, body=body, headers={"Content-Type": "application/problem+json", "Server": "esm-gateway"}
        )
        response.force_close()
        return response

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp calls this after every read of a body and feeds its parser nothing; only after a pause is there
        # anything to resume (aiohttp 3.14, base_protocol.py).
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log nothing: the handler logs its own errors, and the parser's would quote the request."""


class Server(web.Server):
    """One handler for every request; bodies up to `max_body_bytes`, connections as many as `table` has room for."""

    def __init__(
        self,
        handler: Handler,
        *,
        table: ConnectionTable,
        unsent: UnsentAnswers,
        max_body_bytes: int,
        keepalive_s: float,
        header_s: float,
        linger_s: float = LINGER_S,
    ) -> None:
        super().__init__(
            handler,
            request_factory=self._request,
            access_log=None,
            keepalive_timeout=keepalive_s,
            read_bufsize=READ_BUFFER,
            lingering_time=linger_s,
            handler_cancellation=True,
        )
        self.table, self.unsent = table, unsent
        self._max_body_bytes, self._header_s = max_body_bytes, header_s

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if isinstance(handler, QuietConnection):
            self.table.opened(handler)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        if isinstance(handler, QuietConnection):
            self.table.closed(handler)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        # One byte more than is accepted, so that the flow sees "too large" and not a cut body.
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._loop, client_max_size=self._max_body_bytes + 1
        )

    def __call__(self) -> RequestHandler:
        return QuietConnection(self, header_s=self._header_s, loop=self._loop, **self._kwargs)
