"""What the flow needs from the world: small protocols, each method saying what happens when its part is lost.

Adapters implement them (`gateway/adapters`); `memory.py` implements all of them with a journal for tests. Foreign
exceptions never cross this border: a lost store is `StoreUnavailable`, a lost audit `AuditUnavailable`.
"""

from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from gateway.core.audit import Event
from gateway.core.marks import Marks, Purge
from gateway.core.metrics import Metric
from gateway.core.nouns import Grant, KeyRecord, Namespace
from gateway.core.quota import Limit, Reservation, Verdict

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


class StoreUnavailable(Exception):
    """A store did not answer in time or at all. Carries the operation's name, never a value."""


class AuditUnavailable(Exception):
    """The audit record could not be made durable."""


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


class Directory(Protocol):
    """Virtual keys and grants (state store). Lost: StoreUnavailable, and unknown keys are refused with 503."""

    async def find(self, public_id: str) -> tuple[KeyRecord, tuple[Grant, ...]] | None:
        """The record and the user's grants (revoked and expired ones included), from the store, authenticated."""
        ...

    async def epoch(self) -> int:
        """A number that grows with every change of any key or grant."""
        ...

    async def put_key(self, record: KeyRecord) -> None: ...
    async def put_grant(self, grant: Grant) -> None: ...
    async def keys(self) -> Sequence[KeyRecord]: ...
    async def grants(self, user: str) -> Sequence[Grant]: ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What one limit has counted so far: units today, leases now, or requests of burst left."""

    limit: Limit
    used: int


class Ledger(Protocol):
    """Quotas (state store). Lost: StoreUnavailable, and the call is refused with 503 before anything is sent."""

    async def charge_rate(self, subject: str, limits: tuple[Limit, ...], in_advance: int) -> Verdict:
        """One request of rate on all limits or none, and up to `in_advance` more where less than half is used."""
        ...

    async def return_rate(self, subject: str, limits: tuple[Limit, ...], count: int) -> None:
        """Give back requests that were charged in advance and not used."""
        ...

    async def reserve(self, reservation: Reservation, lease_s: float) -> Verdict:
        """A lease on every concurrency limit and the units on every unit limit, all or nothing, once per id.

        Charged once however often it is sent. After a settle of the same id that came first, it is refused.
        """
        ...

    async def settle(self, reservation: Reservation, units: int) -> None:
        """End the leases; charge `units` in place of the reserved ones (0: refund). Once per id, whatever comes."""
        ...

    async def usage(self, subject: str, limits: tuple[Limit, ...]) -> Sequence[Usage]: ...


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim found: the lease is ours now, or an entry stands, or another holds the lease for `left_s` more."""

    ours: bool
    entry: bytes | None = None
    left_s: float = 0.0


class CacheStore(Protocol):
    """Sealed bytes by address (cache store). Lost: StoreUnavailable, and the flow goes on without it.

    A look-up says so within 50 ms; what saves upstream calls may wait ten times as long for a store that is busy.
    """

    async def get(self, address: str) -> bytes | None: ...
    async def put(
        self, address: str, blob: bytes, ttl_s: float, keep_first: bool, owner: str | None = None
    ) -> bytes | None:
        """Store; with `keep_first` an entry that stands already is kept and returned.

        With an `owner` it also ends his lease and tells who listens, all in one. An owner whose lease was lost comes
        late: then an entry that stands is kept and returned, whatever `keep_first` says.
        """
        ...

    async def delete(self, address: str) -> None:
        """Forget the entry, and the lease of the flight that made it."""
        ...

    async def claim(self, address: str, owner: str, lease_s: float, refused: bytes | None = None) -> Claim:
        """Take the lease of a flight, unless an entry stands (other than `refused`) or another holds the lease."""
        ...

    async def renew(self, address: str, owner: str, lease_s: float) -> bool:
        """Whether the lease was still the owner's."""
        ...

    async def release(self, address: str, owner: str) -> None:
        """End the lease, if it is the owner's, and tell who listens."""
        ...

    async def listen(self, address: str) -> Promise[bytes]:
        """What is told of this address from now on, once: an entry, or nothing (b"") where it is to be claimed again.

        Nothing is told after a lease that ended by itself, so nobody listens for longer than a lease has left. A
        connection that is lost tells everybody to claim again. Whoever waits must claim once more after this.
        """
        ...

    def stop_listening(self, address: str, news: Promise[bytes]) -> None: ...
    async def stats(self) -> Mapping[str, int]:
        """entries, bytes, evicted, expired, hits, misses: as the server counts them."""
        ...


class Notices(Protocol):
    """Who has been told what lately (cache store). Lost: StoreUnavailable, and nobody is told anything."""

    async def first(self, topic: str, key: str, ttl_s: float) -> bool:
        """Whether nobody in the fleet has asked this for that long; who is answered True tells."""
        ...


class Purges(Protocol):
    """The marks that purges leave (cache store). Lost: StoreUnavailable, and the cache has no part in any call.

    No number of theirs ever becomes smaller. Of what is not soft, what is older than something is of all models.
    """

    async def marks(self) -> Marks: ...
    async def purge(self, what: Purge) -> Marks:
        """Forget kept answers, all that `what` describes; answers the marks as they are then."""
        ...

    async def touch(self) -> Marks:
        """Let every worker forget what it has in memory: an entry has been deleted."""
        ...


class NotKept(Exception):
    """A namespace took no more: "frozen", "full" or "gone"; or there are "too many" of them. Names nothing else."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a namespace holds, and whether it is closed: nothing is ever added to it again."""

    entries: int
    bytes: int
    closed: bool


class Archive(Protocol):
    """Named namespaces and what they hold, sealed (state store). Lost: StoreUnavailable, and the call is a 503.

    What a namespace costs to use does not depend on how much it holds.
    """

    async def namespaces(self) -> Mapping[str, Namespace]: ...
    async def create(self, namespace: Namespace) -> bool:
        """False where one of that name exists. One that is `frozen` from the start is filled before it is closed."""
        ...

    async def freeze(self, name: str, at: float) -> bool:
        """Close it: from now on nothing is added, ever. False where there is none of that name."""
        ...

    async def drop(self, name: str) -> int:
        """Forget a namespace with all it holds; answers how many entries that were."""
        ...

    async def empty(self, name: str) -> int:
        """Forget what a namespace holds; answers how many entries that were. Raises NotKept for one that is closed."""
        ...

    async def get(self, name: str, address: str) -> bytes | None: ...
    async def put(self, name: str, address: str, blob: bytes) -> bytes | None:
        """Keep, unless an entry stands already: that one is answered. Raises NotKept."""
        ...

    async def remove(self, name: str, address: str) -> bool:
        """Take one entry out, also of a closed namespace; whether it was there."""
        ...

    async def page(self, name: str, after: int = 0, most: int = 256) -> Sequence[tuple[int, str]]:
        """Numbers and addresses of entries in the order in which they came, beginning after that number."""
        ...

    async def held(self, name: str) -> Held: ...


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One try. `secret` is the upstream key; it appears in no repr."""

    target: str
    body: bytes = field(repr=False)
    secret: str = field(repr=False)
    max_answer_bytes: int


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """A complete reply: status, media type (lower case, without parameters), Retry-After in seconds, bytes."""

    status: int
    media_type: str
    retry_after_s: float | None
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamLoss:
    """No complete reply. `sent` is False only if the upstream provably did not get the whole request."""

    reason: str
    sent: bool
    timed_out: bool


class Upstream(Protocol):
    """The way to the upstream. Never raises for what the network or the upstream does."""

    async def send(self, request: UpstreamRequest) -> UpstreamReply | UpstreamLoss: ...


class AuditLog(Protocol):
    """The chained record. Lost: AuditUnavailable, before the act that it would have recorded."""

    async def append(self, event: Event) -> int:
        """Durable (fsynced) when it returns; answers the record's sequence number."""
        ...


class Meter(Protocol):
    """Counts. Never fails, never waits."""

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None: ...
    def observe(self, metric: Metric, seconds: float, *labels: str) -> None: ...
    def gauge(self, metric: Metric, value: float, *labels: str) -> None: ...


class AccessLog(Protocol):
    """One line a request, buffered; a crash may lose the last tenth of a second of it."""

    def write(self, fields: Mapping[str, Any]) -> None: ...
