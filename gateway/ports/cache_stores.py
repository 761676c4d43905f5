"""Where answers are stored: the cache, which may be lost at any time; its purges; and named namespaces."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.purge_state import Purge, PurgeState
from gateway.core.types import Namespace


@dataclass(frozen=True, slots=True)
class LeaseClaim:
    """The lease was acquired, or an entry exists, or another owner has the lease for `expires_in_s` more."""

    acquired: bool
    entry: bytes | None = None
    expires_in_s: float = 0.0


class CacheStore(Protocol):
    """Sealed bytes by cache key (cache store). Lost: StoreUnavailable, and the flow goes on without it.

    A look-up fails within 50 ms; operations that save upstream calls may wait ten times as long for a busy store.
    """

    async def get(self, cache_key: str) -> bytes | None: ...
    async def put(
        self, cache_key: str, blob: bytes, ttl_s: float, first_write_wins: bool, owner: str | None = None
    ) -> bytes | None:
        """Store; with `first_write_wins` an existing entry is left alone and returned.

        With an `owner` the same operation also ends the owner's lease and publishes the entry to subscribers. An owner
        whose lease was lost is late: then an existing entry is left alone and returned in any case. Where one was left
        alone the lease goes on, so that its owner can replace an unusable one (`put` again without
        `first_write_wins`).
        """
        ...

    async def delete(self, cache_key: str) -> None:
        """Delete the entry, and the lease of the flight that computed it."""
        ...

    async def changes(self, since: Sequence[str] | None) -> tuple[Sequence[str], Collection[str] | None]:
        """Where the changes are now, and the cache keys that were stored or deleted since an earlier such place.

        None in place of the keys: some may have been missed, so any may have changed. None for `since`: from now on.
        """
        ...

    async def claim(self, cache_key: str, owner: str, lease_s: float, refused: bytes | None = None) -> LeaseClaim:
        """Take the lease of a flight, unless an entry (other than `refused`) or another owner's lease exists."""
        ...

    async def renew(self, cache_key: str, owner: str, lease_s: float) -> bool:
        """Whether the lease was still the owner's."""
        ...

    async def release(self, cache_key: str, owner: str, message: bytes = b"") -> None:
        """End the lease, if it is the owner's, and tell subscribers so, with a `message` that is no entry."""
        ...

    async def subscribe(self, cache_key: str) -> "asyncio.Future[bytes]":
        """The next message about this key: an entry, a `release`'s, or b"" where the lease is to be claimed again.

        Nothing is published when a lease expires, so a subscriber waits no longer than the lease has left. A lost
        connection resolves every subscription with b"". A subscriber must claim once more after subscribing.
        """
        ...

    def unsubscribe(self, cache_key: str, message: "asyncio.Future[bytes]") -> None: ...
    async def stats(self) -> Mapping[str, int]:
        """entries, bytes, evicted, expired, hits, misses: as the server counts them."""
        ...


class PurgeStore(Protocol):
    """The state of purges (cache store), and the serial of the latest one (state store). Lost: StoreUnavailable.

    Without the cache store every call bypasses the cache; without the state store the state holds for a minute more.
    No number in it ever becomes smaller. A hard purge by age concerns all models.
    """

    async def purge_state(self, at_least: int = 0) -> PurgeState:
        """The state; where there is none, or one with a lower serial than that, a new one: everything is purged."""
        ...

    async def purge(self, what: Purge) -> PurgeState:
        """Purge the cached answers that `what` describes; returns the new state. Needs both stores."""
        ...

    async def high_water(self) -> int:
        """The serial of the latest state."""
        ...

    async def raise_high_water(self, serial: int) -> None:
        """For a state whose purge ended before it got here. It never becomes smaller."""
        ...


class NotStored(Exception):
    """A namespace took no more: "frozen", "full", "gone", "purged"; or there are "too many" of them. Tells no names."""


@dataclass(frozen=True, slots=True)
class NamespaceContents:
    """How much a namespace holds, and whether it is closed: nothing is ever added to it again."""

    entries: int
    bytes: int
    closed: bool


class NamespaceStore(Protocol):
    """Named namespaces and their entries, sealed (state store). Lost: StoreUnavailable, and the call is a 503.

    What an operation costs does not depend on how much a namespace holds.
    """

    async def namespaces(self) -> Mapping[str, Namespace]: ...
    async def changes(self) -> int:
        """How often `touch` was called."""
        ...

    async def touch(self) -> None:
        """Make every worker forget what it holds of namespaces: entries are deleted."""
        ...

    async def create(self, namespace: Namespace) -> bool:
        """False where the name is taken. One that is `frozen` from the start is filled before it is closed."""
        ...

    async def freeze(self, name: str, at: float) -> bool:
        """Close it: from now on nothing is added, ever. False where there is none of that name."""
        ...

    async def drop(self, name: str) -> int:
        """Delete a namespace with all its entries; returns how many there were."""
        ...

    async def empty(self, name: str) -> int:
        """Delete a namespace's entries; returns how many there were. Raises NotStored for one that is closed."""
        ...

    async def get(self, name: str, cache_key: str) -> bytes | None: ...
    async def get_all(self, name: str, cache_keys: Sequence[str]) -> Sequence[bytes | None]:
        """The same for several cache keys, in their order."""
        ...

    async def put(self, name: str, cache_key: str, blob: bytes, sent: float | None = None) -> bytes | None:
        """Store, unless an entry exists already: that one is returned. Raises NotStored.

        `sent` is when the upstream call was sent: one from before a purge, or a drop, is not stored any more.
        """
        ...

    async def move(self, name: str, cache_key: str, to: str, blob: bytes) -> bool:
        """Give an entry, also of a closed namespace, another cache key and other bytes; it keeps its number.

        False, and nothing is changed, where there is no such entry, or one with the other key.
        """
        ...

    async def remove(self, name: str, cache_key: str) -> bool:
        """Delete one entry, also of a closed namespace; returns whether it existed."""
        ...

    async def page(self, name: str, after: int = 0, limit: int = 256) -> Sequence[tuple[int, str]]:
        """Numbers and cache keys of entries in the order of their arrival, beginning after that number."""
        ...

    async def contents(self, name: str) -> NamespaceContents: ...
