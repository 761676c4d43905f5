"""Writes down every HTTP exchange of the SDK, and changes none: the SDK shows its callers no headers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of the SDK and its answer; `body` is the answer's bytes as the SDK parsed them."""

    url: httpx.URL
    sent: bytes
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def endpoint(self) -> str:
        return str(self.url.path).removeprefix("/api/v1/")

    @property
    def cache(self) -> list[str]:
        """Cache-Status in its parts: the cache's name, then its parameters (RFC 9211 section 2)."""
        return [part.strip() for part in self.headers.get("Cache-Status", "").split(";")]

    @property
    def determinism(self) -> str:
        """The class that stands in the detail, before the rule that decided it."""
        _, _, detail = self.headers.get("Cache-Status", "").partition('; detail="')
        return str(detail.partition(": ")[0])

    @property
    def hit(self) -> bool:
        return "hit" in self.cache


Tape = list[Exchange]


@contextmanager
def recording() -> Iterator[Tape]:
    tape: Tape = []
    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    def note(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        sent, body = request.content, response.content
        tape.append(Exchange(request.url, sent, response.status_code, response.headers, body))
        return response

    def sync(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        return note(request, send(client, request, **options))

    async def awaited(client: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        return note(request, await send_async(client, request, **options))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "send", sync)
        patch.setattr(httpx.AsyncClient, "send", awaited)
        yield tape
