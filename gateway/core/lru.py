"""An LRU cache bounded in bytes."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Lru(Generic[V]):
    """Values by key; the caller says the size of each, key included.

    To each, 512 bytes are added: the entry itself takes about half of them (a node, a pair, a share of a table that is
    partly empty), and the rest makes up for what the heap loses between values of different sizes.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, tuple[int, V]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> V | None:
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[1]

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Store a value, unless it is larger than an eighth of the limit: it would evict too many others."""
        self.drop(key)
        cost = size + 512
        if cost > self._max_bytes // 8:
            return
        self._entries[key] = (cost, value)
        self.bytes += cost
        while self.bytes > self._max_bytes:
            self.bytes -= self._entries.popitem(last=False)[1][0]

    def drop(self, key: Hashable) -> None:
        dropped = self._entries.pop(key, None)
        if dropped is not None:
            self.bytes -= dropped[0]

    def clear(self) -> None:
        self._entries.clear()
        self.bytes = 0
