"""aiohttp's low-level HTTP server, without its router and error pages.

Malformed HTTP gets a problem document that quotes nothing of it; aiohttp's own page would quote the offending header
line, which may contain the key. Silent and idle connections are closed in time, and all of them when the worker stops,
without cutting off anybody who has begun to ask.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import ERROR, RequestHandler

from gateway.core.problems import INTERNAL, Problem
from gateway.web import request_head
from gateway.web.connections import ConnectionTable, address_of, is_closed
from gateway.web.request import READ_BUFFER
from gateway.web.unsent_answers import UnsentAnswers

# For how long the rest of a refused body is read and dropped, so that its sender gets to see the refusal.
LINGER_S = 2.0
# Who has just connected is about to ask: a stopping worker gives them this long to begin.
FRESH_S = 0.5
DRAIN_LOOK_S = 0.05
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Request(web.BaseRequest):
    """A request, and what is wrong with its head; while the worker stops, no connection outlives its answer."""

    fault: Problem | None = None
    table: ConnectionTable

    @property
    def keep_alive(self) -> bool:
        return not self._message.should_close and not self.table.draining


class QuietConnection(RequestHandler):
    """A connection whose errors are answered with problem documents and never quoted.

    Its deadline is `header_s` from the first byte of a request's head (for the first one: from the connection) until
    the head is complete, and `keepalive_s` from an answer until the next first byte. aiohttp has one time for all, and
    moves its timer only when it fires (web_protocol.py, 3.14); so the timer is aiohttp's and the decision is here.
    """

    def __init__(self, manager: "Server", *, header_s: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._header_s, self._table, self._unsent = header_s, manager.table, manager.unsent
        self.key_accepted, self.address = False, ""
        self._opened = self._deadline = 0.0
        self._head_begun = self._used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if is_closed(transport):
            # It was opened and closed before its turn came: a task and timers for it would cost a live caller's time.
            cast(asyncio.Transport, transport).abort()
            return
        self.address = address_of(transport)
        self._opened = self._loop.time()
        super().connection_made(transport)
        self._close_by(self._opened + self._header_s)

    def data_received(self, data: bytes) -> None:
        answering = self._current_request
        of_next = answering is not None and answering.content.is_eof()
        queued = len(self._messages)
        super().data_received(data)
        if self._head_begun:
            return
        if self._is_waiting():
            self._head_begun = True
            if self._used:
                self._close_by(self._loop.time() + self._header_s)
        elif of_next and len(self._messages) == queued:
            self._head_begun = True

    def _is_waiting(self) -> bool:
        """Whether no complete head has come since the last answer."""
        return self._waiter is not None and not self._waiter.done()

    def _close_by(self, deadline: float) -> None:
        self._deadline = deadline
        timer = self._keepalive_handle
        if timer is None or timer.when() > deadline:  # type: ignore[attr-defined]  # it is a TimerHandle
            if timer is not None:
                timer.cancel()
            self._keepalive_handle = self._loop.call_at(deadline, self._process_keepalive)

    def _process_keepalive(self) -> None:
        self._keepalive_handle = None
        if self._force_close or not self._is_waiting():
            return  # at work; after its answer there is a timer again
        if self._loop.time() < self._deadline:
            self._close_by(self._deadline)
        else:
            self.force_close()

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

    def close_if_idle(self) -> None:
        """Close it where nobody is asking: no head has begun, and it was not opened just now."""
        if self._is_waiting() and not self._head_begun and (self._used or self._loop.time() > self._opened + FRESH_S):
            self.force_close()

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Handler
    ) -> tuple[web.StreamResponse, bool]:
        # aiohttp's step from a parsed head to a sent answer: a request in progress (web_protocol.py, 3.14).
        self._table.begin(self)
        self._used, self._head_begun = True, False
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            self._table.end(self)
            self._unsent.end(self)
            if self.transport is not None:
                seconds = self._header_s if self._head_begun else self._keepalive_timeout
                self._close_by(self._loop.time() + seconds)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        kind = request_head.kind_of_error(exc) if 400 <= status < 500 else INTERNAL
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
        # Of what could not be parsed there is nothing to check; it has its error page already.
        fault = request_head.fault(message) if message is not ERROR else None
        if fault is not None or message is ERROR or message.method == "CONNECT":
            # In the version that is spoken here, whatever the request says (RFC 9110 section 6.2). What follows on the
            # connection may be no request, and after CONNECT the parser takes it for a tunnel's bytes.
            version = HttpVersion10 if message.version == HttpVersion10 and message is not ERROR else HttpVersion11
            message = message._replace(version=version, should_close=True)
        # One byte more than is accepted, so that the flow sees "too large" and not a cut body.
        request = Request(
            message, payload, protocol, writer, task, self._loop, client_max_size=self._max_body_bytes + 1
        )
        request.fault, request.table = fault, self.table
        return request

    async def drain(self, deadline: float) -> int:
        """Close every connection when its last answer is sent; returns how many are left at this loop time.

        Nobody new may be accepted any more. aiohttp's own way drops what is still arriving of requests that have begun.
        """
        self.table.draining = True
        while self._loop.time() < deadline:
            # First: who was accepted in the last turn of the loop is no connection of ours yet.
            await asyncio.sleep(DRAIN_LOOK_S)
            for connection in self.connections:
                if isinstance(connection, QuietConnection):
                    connection.close_if_idle()
            if not self.connections:
                break
        return len(self.connections)

    def __call__(self) -> RequestHandler:
        return QuietConnection(self, header_s=self._header_s, loop=self._loop, **self._kwargs)
