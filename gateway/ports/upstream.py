"""The upstream: one request and its outcome."""

from dataclasses import dataclass, field
from typing import Protocol


class AnswerPlace(Protocol):
    """One of a few places for large answers. Held by the answer until it has been looked at."""

    async def take(self) -> None:
        """Wait for a place; nothing where it is held."""
        ...

    def leave(self) -> None:
        """Let another one have it; nothing where none is held."""
        ...


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One attempt of at most `timeout_s`. `secret` is the upstream key; it appears in no repr.

    `place` is taken before more than a mebibyte of the answer is read; None: it is read at once, whatever its size.
    """

    target: str
    body: bytes = field(repr=False)
    secret: str = field(repr=False)
    max_answer_bytes: int
    timeout_s: float = 600.0
    place: AnswerPlace | None = None


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """A complete reply: status, media type (lower case, without parameters), Retry-After in seconds, bytes.

    `no_store`: its Cache-Control forbids to store it (RFC 9111 section 5.2.2.5).
    """

    status: int
    media_type: str
    retry_after_s: float | None
    body: bytes = field(repr=False)
    no_store: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamLoss:
    """No complete reply. `sent` is False only if the upstream provably did not get the whole request.

    The reasons `too_large` (the answer) and `own_limit` (descriptors, memory) are this side's, not the upstream's.
    """

    reason: str
    sent: bool
    timed_out: bool


class Upstream(Protocol):
    """The upstream API. Never raises for what the network or the upstream does."""

    async def send(self, request: UpstreamRequest) -> UpstreamReply | UpstreamLoss: ...
