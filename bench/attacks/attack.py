"""An attack as a row, and the attacker: one ordinary caller in a process of its own, in the words of its connections.

What an attack sends is made before `begin`, so that making it does not fall into what is measured.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from bench.asking import Address, address_of, request

# Users: two ordinary ones, and one with two requests a minute.
MALLORY, TRUDY, SLOW = "mallory", "trudy", "slow"
ATTACKERS: Final = (MALLORY, TRUDY, SLOW)
JSON: TypeAlias = Mapping[str, Any]


class Attacker:
    """The keys and connections of an attack, and what it was told: statuses, losses, problem types."""

    def __init__(self, url: str, keys: Mapping[str, str], workers: int) -> None:
        self.url, self.workers = url, workers
        self.address: Address = address_of(url)
        self.told: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.prepared, self.go = asyncio.Event(), asyncio.Event()
        self.began = 0.0
        self._keys = keys

    def request(self, target: str, body: bytes, *headers: str, user: str = MALLORY) -> bytes:
        """One POST, with further header fields; `user` "" sends no key."""
        made = request(self.url, target, self._keys.get(user, user), body)
        return with_headers(made, headers)

    def get(self, target: str, user: str = MALLORY) -> bytes:
        return request(self.url, target, self._keys.get(user, user), method="GET")

    async def begin(self) -> None:
        """All is made: wait for the word to begin."""
        self.prepared.set()
        await self.go.wait()
        self.began = time.monotonic()


def with_headers(data: bytes, headers: Sequence[str]) -> bytes:
    added = "".join(f"\r\n{header}" for header in headers).encode()
    return data.replace(b"\r\nAccept: */*", b"\r\nAccept: */*" + added, 1)


Send = Callable[[Attacker], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """A row. `rules` are faults of the stand-in upstream while it lasts; `settings` those of the gateway."""

    name: str
    about: str
    send: Send = field(repr=False)
    rules: Sequence[JSON] = ()
    settings: JSON = field(default_factory=dict)
