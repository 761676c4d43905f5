"""This process: time and chance, the request that arrived, what is counted and what is logged."""

from collections.abc import Mapping
from typing import Any, Protocol

from gateway.core.metrics import Metric


class BodyRoom(Protocol):
    """Room for one body, to be taken before it is read."""

    def try_take(self, size: int) -> bool:
        """Whether there was room for this many bytes at once."""
        ...

    async def take(self, size: int) -> None:
        """Wait for room. Asked once a body: who holds some must not wait for more."""
        ...

    def keep(self, size: int) -> None:
        """The body was smaller than what was taken."""
        ...


class RawRequest(Protocol):
    """What arrived, untrusted. Header names are case-insensitive; the query is undecoded."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    def header(self, name: str) -> str | None: ...
    async def read(self, max_bytes: int, room: BodyRoom) -> bytes | None:
        """The whole body, or None where it is larger than `max_bytes`; nothing is read on without room for it."""
        ...


class Clock(Protocol):
    """Time and chance."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...
    def token(self, n_bytes: int) -> bytes:
        """Unpredictable bytes."""
        ...


class Meter(Protocol):
    """Counts. Never fails, never waits."""

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None: ...
    def observe(self, metric: Metric, seconds: float, *labels: str) -> None: ...
    def gauge(self, metric: Metric, value: float, *labels: str) -> None: ...


class AccessLog(Protocol):
    """One line a request, buffered; a crash may lose the last tenth of a second of it."""

    def write(self, fields: Mapping[str, Any]) -> None: ...
