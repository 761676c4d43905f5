"""The HTTP client of the upstream: a fixed set of headers, a timeout for each phase, a limit on the answer's size.

It stores no cookies (the default jar would send one user's to the next), follows no redirects, reads no proxy from the
environment, and accepts JSON only. What a failure means is decided in `core/retry.py`.
"""

import asyncio
import errno
from io import BytesIO

import aiohttp
from aiohttp import ClientTimeout, DummyCookieJar, TCPConnector

from gateway import __version__
from gateway.adapters.upstream_answer import AnswerReader
from gateway.core.cache_directives import response_forbids_storing
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest

# Above this aiohttp writes a body in chunks, so that one large request does not block the others.
CHUNKED_ABOVE = 2**19
# Of a call's time; connecting ends before that does, so a call that was never connected is known to be unsent.
CONNECT_SHARE = 0.8
# No descriptor, in this process or the system, or no memory for a connection: nothing of it is the upstream's fault.
OWN_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)


class HttpUpstream:
    """One upstream host. Open inside a running loop; `close` when done."""

    def __init__(
        self,
        url: str,
        *,
        connect_s: float,
        first_byte_s: float,
        total_s: float,
        keepalive_s: float,
    ) -> None:
        self._base = url.rstrip("/")
        self._connect_s, self._first_byte_s, self._total_s = connect_s, first_byte_s, total_s
        self._answers = AnswerReader()
        connector = TCPConnector(limit=0, keepalive_timeout=keepalive_s)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None),
            headers={"User-Agent": f"esm-gateway/{__version__}", "Accept": "application/json"},
            trust_env=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def send(self, request: UpstreamRequest) -> UpstreamReply | UpstreamLoss:
        seconds = min(self._total_s, request.timeout_s)
        try:
            async with asyncio.timeout(seconds):
                return await self._send(request, min(self._connect_s, CONNECT_SHARE * min(seconds, self._first_byte_s)))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if isinstance(error, OSError) and error.errno in OWN_LIMITS:
                return UpstreamLoss("own_limit", sent=False, timed_out=False)
            return UpstreamLoss("no connection", sent=False, timed_out=isinstance(error, TimeoutError))
        except TimeoutError:
            return UpstreamLoss("no answer in time", sent=True, timed_out=True)
        except OSError as error:
            # Before a connection is made aiohttp may raise it as it is: socket() found no descriptor.
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return UpstreamLoss("own_limit", sent=False, timed_out=False)
            return UpstreamLoss("connection lost", sent=True, timed_out=False)
        except aiohttp.ClientError:
            return UpstreamLoss("connection lost", sent=True, timed_out=False)

    async def _send(self, request: UpstreamRequest, connect_s: float) -> UpstreamReply | UpstreamLoss:
        headers = {"Authorization": f"Bearer {request.secret}", "Content-Type": "application/json"}
        data = request.body if len(request.body) <= CHUNKED_ABOVE else BytesIO(request.body)
        timeout = ClientTimeout(total=None, sock_connect=connect_s)
        posting = self._session.post(
            self._base + request.target, data=data, headers=headers, allow_redirects=False, timeout=timeout
        )
        async with asyncio.timeout(self._first_byte_s):
            response = await posting
        async with response:
            body = await self._answers.read(response, request.max_answer_bytes, request.place)
            if body is None:
                response.close()
                return UpstreamLoss("too_large", sent=True, timed_out=False)
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            no_store = response_forbids_storing(", ".join(response.headers.getall("Cache-Control", ())))
            seconds = _seconds(response.headers.get("Retry-After"))
            return UpstreamReply(response.status, media_type, seconds, body, no_store)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not used by this upstream and is ignored."""
    return float(retry_after) if retry_after is not None and retry_after.isascii() and retry_after.isdigit() else None
