"""An answer on its way out: head and body in one write.

aiohttp's `Response` can also stream, compress, chunk, set cookies and be changed until the last moment; a repeat from
memory would pay more for that than for the look-up. What is not a plain POST over a kept HTTP/1.1 connection still
goes out as that `Response`, which knows the older ways.
"""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11

from gateway.core.types import Response

# Python before 3.13 has the phrases of an older RFC for two of them (RFC 9110 section 15.5).
REASONS = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    422: "Unprocessable Content",
}
# Joining costs a copy, two pieces cost a longer way through the kernel; aiohttp draws the line here, too.
JOINED_BELOW = 2**16
SERVER = "esm-gateway"


def reply(request: web.BaseRequest, response: Response) -> web.StreamResponse:
    """What aiohttp is to send as the answer to this request."""
    if request.method == "POST" and request.version == HttpVersion11 and request.keep_alive:
        return Reply(response)
    return web.Response(
        status=response.status, reason=REASONS[response.status], body=response.body, headers=_headers(response)
    )


class Reply(web.StreamResponse):
    """A whole answer to a POST on an HTTP/1.1 connection that is kept open."""

    def __init__(self, response: Response) -> None:
        # The parent's state is for answers that can still change; this one is written as it is.
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
            raise ConnectionResetError("the caller went away")
        head = _head(self._response)
        if len(body) < JOINED_BELOW:
            request.transport.write(head + body)
        else:
            request.transport.writelines((head, body))
        await request.writer.drain()


def _head(response: Response) -> bytes:
    status, headers = response.status, response.headers
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a line break in a header field")
    # A 304 ends with its head; a length there would be that of the answer it stands for (RFC 9110 section 8.6).
    about = "" if status == 304 else f"Content-Length: {len(response.body)}\r\nContent-Type: {response.media_type}\r\n"
    first = f"HTTP/1.1 {status} {REASONS[status]}\r\nDate: {rfc822_formatted_time()}\r\nServer: {SERVER}\r\n"
    return f"{first}{about}{lines}\r\n".encode()


def _headers(response: Response) -> Mapping[str, str]:
    if response.status == 304:
        return {"Server": SERVER, **response.headers}
    # The SDK compares the media type for equality, so no charset may follow it.
    return {"Content-Type": response.media_type, "Server": SERVER, **response.headers}
