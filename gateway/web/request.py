"""A request as the flow reads it: fields, and a body that is read only when there is room for it.

Until then nothing more is taken from the connection than fits its small buffer (`READ_BUFFER`), so that the sender
waits; a sender who expects `100 Continue` gets it when the reading begins (RFC 9110 section 10.1.1).
"""

import asyncio

from aiohttp import web
from aiohttp.http import HttpVersion11

from gateway.core.problems import BODY_TOO_SLOW, Problem
from gateway.flow.beside import joined
from gateway.ports import BodyRoom

# aiohttp stops reading at twice this many unread bytes, after a last read of at most 256 KiB.
READ_BUFFER = 2**15
PACE_WINDOW_S = 10.0


class AiohttpRequest:
    """`ports.RawRequest` on aiohttp. A body slower than `pace` bytes a second over ten seconds is given up."""

    __slots__ = ("_pace", "_request", "method", "path", "query")

    def __init__(self, request: web.BaseRequest, pace: int) -> None:
        self._request, self._pace, self.method = request, pace, request.method
        target = request.raw_path
        if target.startswith("/") and not target.startswith("//") and "#" not in target:
            # The origin form (RFC 9112 section 3.2.1), as sent; aiohttp parses the other forms.
            self.path, _, self.query = target.partition("?")
        else:
            url = request.rel_url
            self.path, self.query = url.raw_path, url.raw_query_string

    def header(self, name: str) -> str | None:
        lines = self._request.headers.getall(name, None)
        if lines is None:
            return None
        # Several field lines are one list (RFC 9110 section 5.3): no directive may be lost.
        return lines[0] if len(lines) == 1 else ", ".join(lines)

    async def read(self, max_bytes: int, room: BodyRoom) -> bytes | None:
        length, content = self._request.content_length, self._request.content
        if length is not None and length > max_bytes:
            return None
        if content.is_eof():
            size = content.total_bytes
            if size > max_bytes:
                return None
            if not room.try_take(size):
                await self._wait_for(room, size)
            return content.read_nowait()
        # Of a body in chunks the size is known at its end. It takes the most that it may become: two that hold a part
        # and wait for more would wait for each other.
        size = max_bytes if length is None else length
        if not room.try_take(size):
            await self._wait_for(room, size)
        body = await self._read_on(max_bytes)
        room.keep(len(body or b""))
        return body

    async def _wait_for(self, room: BodyRoom, size: int) -> None:
        """Wait for room; a caller who hangs up meanwhile is a ConnectionError."""
        taking = asyncio.ensure_future(room.take(size))
        ended = asyncio.ensure_future(self._request.content.wait_eof())
        try:
            await asyncio.wait((taking, ended), return_when=asyncio.FIRST_COMPLETED)
            if not taking.done() and ended.exception() is not None:
                raise ConnectionResetError("the caller disconnected")
            await taking
        finally:
            taking.cancel()
            ended.cancel()
            await asyncio.gather(taking, ended, return_exceptions=True)

    async def _read_on(self, max_bytes: int) -> bytes | None:
        content, loop = self._request.content, asyncio.get_running_loop()
        # The whole body is buffered anyway; smaller chunks would pause the sender.
        content.set_read_chunk_size(max_bytes)
        self._continue()
        chunks: list[bytes] = []
        size, due = 0, PACE_WINDOW_S * self._pace
        try:
            async with asyncio.timeout(PACE_WINDOW_S) as deadline:
                while not content.at_eof():
                    # One piece as it came: `readany` would join all that has arrived, and hold everybody up.
                    chunk, _ = await content.readchunk()
                    size += len(chunk)
                    if size > max_bytes:
                        return None
                    chunks.append(chunk)
                    if size >= due:
                        due = size + PACE_WINDOW_S * self._pace
                        deadline.reschedule(loop.time() + PACE_WINDOW_S)
        except TimeoutError:
            raise Problem(BODY_TOO_SLOW, f"At least {self._pace} bytes a second are expected.") from None
        return await joined(chunks)

    def _continue(self) -> None:
        request = self._request
        expected = request.headers.get("Expect")
        if expected is None or expected.lower() != "100-continue" or request.version < HttpVersion11:
            return
        if request.content.total_bytes == 0 and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
