"""One kept connection that asks and is answered; it can hang up on purpose, at any moment of a call.

It reads by Content-Length and understands nothing else of HTTP, because the client must be cheap: it shares the machine
with what it judges.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
Address = tuple[str, int]


class LostError(Exception):
    """The other side ended the connection before the answer was whole."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    head: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """When to hang up: after this many bytes of the request, this long after all of it, or else at the first byte of
    the answer. `reset` ends the connection without a goodbye."""

    sent: int | None = None
    after_s: float | None = None
    reset: bool = False


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def request(url: str, target: str, key: str = "", body: bytes = b"", method: str = "POST") -> bytes:
    """The bytes of one request, as the SDK's client would write them."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Accept: */*"]
    lines += ["User-Agent: python-httpx/0.28.1"]
    if key:
        lines += [f"Authorization: Bearer {key}"]
    if method == "POST":
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Line(asyncio.Protocol):
    """A kept connection. One call at a time; after `cut` or a loss it is `closed` and of no more use."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply | None] | None = None
        self._cut: Cut | None = None
        self._got = bytearray()
        self._whole = 0
        self.closed = False

    @classmethod
    async def open(cls, address: Address) -> "Line":
        _, line = await asyncio.get_running_loop().create_connection(cls, *address)
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(LostError())

    async def ask(self, data: bytes, cut: Cut | None = None) -> Reply | None:
        """The answer; None where this side hung up before it was whole. Raises LostError if the other side did."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._waiting, self._cut, self._whole = loop.create_future(), cut, 0
        self._got.clear()
        timer = None
        if cut is not None and cut.sent is not None:
            self._transport.write(data[: cut.sent])
            loop.call_soon(self._hang_up)
        else:
            self._transport.write(data)
            if cut is not None and cut.after_s is not None:
                timer = loop.call_later(cut.after_s, self._hang_up)
        try:
            return await self._waiting
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    def _hang_up(self) -> None:
        if self._waiting is None or self._waiting.done():
            return
        assert self._transport is not None
        self._waiting.set_result(None)
        self.closed = True
        if self._cut is not None and self._cut.reset:
            self._transport.abort()
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            return
        if self._cut is not None and self._cut.sent is None and self._cut.after_s is None:
            self._hang_up()
            return
        self._got += data
        if not self._whole:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self._got, 0, end + 2)
            self._whole = end + 4 + (int(length.group(1)) if length else 0)
        if len(self._got) >= self._whole:
            self._answered()

    def _answered(self) -> None:
        assert self._waiting is not None
        end = self._got.find(b"\r\n\r\n")
        head = bytes(self._got[: end + 2])
        if b"onnection: close" in head:
            self.close()
        self._waiting.set_result(Reply(int(head[9:12]), head, bytes(self._got[end + 4 : self._whole])))
