"""A memory that forgets: least recently used entries go first when the bytes it may hold are used up."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Lru(Generic[V]):
    """Values by key, bounded in bytes (as the caller counts them) and so in number: an entry costs at least 512."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._held: OrderedDict[Hashable, tuple[int, V]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable) -> V | None:
        found = self._held.get(key)
        if found is None:
            return None
        self._held.move_to_end(key)
        return found[1]

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Keep a value; one larger than an eighth of the whole is not kept, it would drive out too many others."""
        self.drop(key)
        cost = size + 512
        if cost > self._max // 8:
            return
        self._held[key] = (cost, value)
        self.bytes += cost
        while self.bytes > self._max:
            self.bytes -= self._held.popitem(last=False)[1][0]

    def drop(self, key: Hashable) -> None:
        gone = self._held.pop(key, None)
        if gone is not None:
            self.bytes -= gone[0]

    def clear(self) -> None:
        self._held.clear()
        self.bytes = 0
