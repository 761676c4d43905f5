"""What is kept of answers: the cache that may be lost at any time, what was purged from it, and named records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.purge_state import Purge, PurgeState
from gateway.core.types import Namespace
from gateway.ports.runtime import Promise


@dataclass(frozen=True, slots=True)
class LeaseClaim:
    """What a claim found: the lease is ours now, or an entry stands, or another holds the lease for `left_s` more."""

    ours: bool
    entry: bytes | None = None
    left_s: float = 0.0


class CacheStore(Protocol):
    """Sealed bytes by address (cache store). Lost: StoreUnavailable, and the flow goes on without it.

    A look-up says so within 50 ms; what saves upstream calls may wait ten times as long for a store that is busy.
    """

    async def get(self, cache_key: str) -> bytes | None: ...
    async def put(
        self, cache_key: str, blob: bytes, ttl_s: float, first_write_wins: bool, owner: str | None = None
    ) -> bytes | None:
        """Store; with `first_write_wins` an entry that stands already is kept and returned.

        With an `owner` it also ends his lease and tells who listens, all in one. An owner whose lease was lost comes
        late: then an entry that stands is kept and returned, whatever `first_write_wins` says. Where one was kept the lease
        goes on, so that its owner can replace one that will not do (`put` again, without `first_write_wins`).
        """
        ...

    async def delete(self, cache_key: str) -> None:
        """Forget the entry, and the lease of the flight that made it."""
        ...

    async def claim(self, cache_key: str, owner: str, lease_s: float, refused: bytes | None = None) -> LeaseClaim:
        """Take the lease of a flight, unless an entry stands (other than `refused`) or another holds the lease."""
        ...

    async def renew(self, cache_key: str, owner: str, lease_s: float) -> bool:
        """Whether the lease was still the owner's."""
        ...

    async def release(self, cache_key: str, owner: str) -> None:
        """End the lease, if it is the owner's, and tell who listens."""
        ...

    async def listen(self, cache_key: str) -> Promise[bytes]:
        """What is told of this address from now on, once: an entry, or nothing (b"") where it is to be claimed again.

        Nothing is told after a lease that ended by itself, so nobody listens for longer than a lease has left. A
        connection that is lost tells everybody to claim again. Whoever waits must claim once more after this.
        """
        ...

    def stop_listening(self, cache_key: str, news: Promise[bytes]) -> None: ...
    async def stats(self) -> Mapping[str, int]:
        """entries, bytes, evicted, expired, hits, misses: as the server counts them."""
        ...


class PurgeStore(Protocol):
    """The marks that purges leave (cache store). Lost: StoreUnavailable, and the cache has no part in any call.

    No number of theirs ever becomes smaller. Of what is not soft, what is older than something is of all models.
    """

    async def purge_state(self) -> PurgeState: ...
    async def purge(self, what: Purge) -> PurgeState:
        """Forget kept answers, all that `what` describes; answers the marks as they are then."""
        ...

    async def touch(self) -> PurgeState:
        """Let every worker forget what it has in memory: an entry has been deleted."""
        ...


class NotStored(Exception):
    """A namespace took no more: "frozen", "full" or "gone"; or there are "too many" of them. Names nothing else."""


@dataclass(frozen=True, slots=True)
class NamespaceContents:
    """What a namespace holds, and whether it is closed: nothing is ever added to it again."""

    entries: int
    bytes: int
    closed: bool


class NamespaceStore(Protocol):
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

    async def get(self, name: str, cache_key: str) -> bytes | None: ...
    async def put(self, name: str, cache_key: str, blob: bytes) -> bytes | None:
        """Keep, unless an entry stands already: that one is answered. Raises NotKept."""
        ...

    async def remove(self, name: str, cache_key: str) -> bool:
        """Take one entry out, also of a closed namespace; whether it was there."""
        ...

    async def page(self, name: str, after: int = 0, most: int = 256) -> Sequence[tuple[int, str]]:
        """Numbers and addresses of entries in the order in which they came, beginning after that number."""
        ...

    async def held(self, name: str) -> NamespaceContents: ...
