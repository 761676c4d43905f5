"""This process: time and chance, work side by side, what arrived, and what is counted and written down."""

from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from gateway.core.metrics import Metric

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


class RawRequest(Protocol):
    """What arrived, unbelieved. Header names are case-insensitive; the query is undecoded."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    def header(self, name: str) -> str | None: ...
    async def read(self, max_bytes: int) -> bytes | None:
        """The whole body, or None where it is larger than `max_bytes`."""
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


class Promise(Protocol[T]):
    """A value that somebody else will set once; may be awaited by many."""

    def set(self, value: T) -> None: ...
    def done(self) -> bool: ...
    def wait(self) -> Awaitable[T]: ...


class Tasks(Protocol):
    """Work side by side."""

    def promise(self) -> Promise[Any]: ...
    def spawn(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Start work that outlives its caller; it is awaited at the latest when the process stops.

        Cancelling an await of the result leaves the work running. An error nobody awaits is logged, not lost.
        """
        ...

    async def both(self, one: Coroutine[Any, Any, A], two: Coroutine[Any, Any, B]) -> tuple[A, B]: ...
    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """Raises TimeoutError; the work is cancelled then."""
        ...


class Meter(Protocol):
    """Counts. Never fails, never waits."""

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None: ...
    def observe(self, metric: Metric, seconds: float, *labels: str) -> None: ...
    def gauge(self, metric: Metric, value: float, *labels: str) -> None: ...


class AccessLog(Protocol):
    """One line a request, buffered; a crash may lose the last tenth of a second of it."""

    def write(self, fields: Mapping[str, Any]) -> None: ...
