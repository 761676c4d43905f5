"""Writes a response, head and body at once, a large body in slices.

aiohttp's `Response` can also stream, compress, chunk and set cookies; for an answer from the local cache that costs
more than the look-up. Anything but a POST over a persistent HTTP/1.1 connection still uses that `Response`.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11

from gateway.core.types import Response

# Python before 3.13 has older phrases for these two (RFC 9110 section 15.5).
REASONS = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    422: "Unprocessable Content",
}
# Joining costs a copy, two buffers a slower system call; aiohttp has the same threshold.
JOIN_BELOW = 2**16
SLICE_BYTES = 2**18
"""Written at once; others have a turn before the next slice is."""
SERVER = "esm-gateway"


def reply(request: web.BaseRequest, response: Response) -> web.StreamResponse:
    """The response for aiohttp to send to this request."""
    # Who expects 100 Continue and is refused may send the body or not; what follows cannot be told from it.
    unsure = not request.content.is_eof() and "Expect" in request.headers
    if request.method == "POST" and request.version == HttpVersion11 and request.keep_alive and not unsure:
        return DirectResponse(response)
    # aiohttp writes a file in slices, and bytes at once.
    body = response.body if len(response.body) <= SLICE_BYTES else BytesIO(response.body)
    plain = web.Response(status=response.status, reason=REASONS[response.status], body=body, headers=_headers(response))
    if unsure:
        plain.force_close()
    return plain


class DirectResponse(web.StreamResponse):
    """A complete response to a POST on a persistent HTTP/1.1 connection."""

    def __init__(self, response: Response) -> None:
        # The base class's state, for responses that can still change, is left out.
        self._response = response
        self._request: web.BaseRequest | None = None

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        self._request = request

    async def write_eof(self, data: bytes = b"") -> None:
        request, body = self._request, b"" if self._response.status == 304 else self._response.body
        if request is None or request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("the caller disconnected")
        head = _head(self._response)
        if len(body) < JOIN_BELOW:
            request.transport.write(head + body)
        else:
            first, *rest = _slices(body)
            request.transport.writelines((head, first))
            # aiohttp's own writer counts so, too: `UnsentAnswers` looks at it.
            request.writer.output_size += len(head) + len(first)
            for part in rest:
                await _drain(request)
                request.transport.write(part)
                request.writer.output_size += len(part)
        await request.writer.drain()


def _slices(body: bytes) -> list[memoryview]:
    view = memoryview(body)
    return [view[at : at + SLICE_BYTES] for at in range(0, len(view), SLICE_BYTES)]


async def _drain(request: web.BaseRequest) -> None:
    """Until the caller has taken most of what was written, and everybody else has had a turn."""
    await request.writer.drain()
    await asyncio.sleep(0)
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError("the caller disconnected")


def _head(response: Response) -> bytes:
    status, headers = response.status, response.headers
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a line break in a header field")
    # A 304 has no body; a length would be that of the 200 response (RFC 9110 section 8.6).
    content_fields = (
        "" if status == 304 else f"Content-Length: {len(response.body)}\r\nContent-Type: {response.media_type}\r\n"
    )
    first = f"HTTP/1.1 {status} {REASONS[status]}\r\nDate: {rfc822_formatted_time()}\r\nServer: {SERVER}\r\n"
    return f"{first}{content_fields}{lines}\r\n".encode()


def _headers(response: Response) -> Mapping[str, str]:
    if response.status == 304:
        return {"Server": SERVER, **response.headers}
    # The SDK compares the media type for equality, so no charset may follow it.
    return {"Content-Type": response.media_type, "Server": SERVER, **response.headers}
