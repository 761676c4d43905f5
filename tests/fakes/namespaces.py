"""Marks of purges and named namespaces in this process's memory, each effect in the journal: for tests.

They keep the promises of the real ones; one contract suite runs on both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.core.purge_state import Purge, PurgeState
from gateway.core.types import Namespace
from gateway.ports import NamespaceContents, NotStored
from tests.fakes.stores import Journal, Recorder


class FakePurges(Recorder):
    part = "purge_store"

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        super().__init__(journal)
        self._now = now
        self.standing = PurgeState(0)
        self.mark = 0

    async def purge_state(self, at_least: int = 0) -> PurgeState:
        with self.effect("purge_state"):
            if self.standing.serial < at_least:
                self.standing = PurgeState(at_least + 1, at_least + 1)
            return self.standing

    async def purge(self, what: Purge) -> PurgeState:
        with self.effect("purge", what.model, what.soft, what.older_than_s, *([what.key] if what.key else [])):
            contents = replace(self.standing, serial=max(self.mark, self.standing.serial) + 1)
            moment = self._now() - (what.older_than_s or 0.0)
            if what.key:
                contents = replace(contents, keys={**contents.keys, what.key: moment})
            elif what.soft:
                contents = replace(
                    contents, stale={**contents.stale, what.model: max(contents.stale.get(what.model, 0.0), moment)}
                )
            elif what.older_than_s is not None:
                contents = replace(contents, purged_before=max(contents.purged_before, moment))
            elif what.model:
                contents = replace(
                    contents, models={**contents.models, what.model: contents.models.get(what.model, 0) + 1}
                )
            else:
                contents = replace(contents, epoch=contents.serial, keys={})
            self.standing, self.mark = contents, max(self.mark, contents.serial)
            return contents

    async def high_water(self) -> int:
        with self.effect("high_water"):
            return self.mark

    async def raise_high_water(self, serial: int) -> None:
        with self.effect("raise_high_water"):
            self.mark = max(self.mark, serial)


@dataclass
class Record:
    """What one namespace holds, in the order in which it came."""

    entries: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    frozen: float | None = None
    last: int = 0

    @property
    def bytes(self) -> int:
        return sum(len(blob) for _, blob in self.entries.values())


class FakeNamespaces(Recorder):
    part = "namespace_store"

    def __init__(
        self, journal: Journal, max_bytes: int = 2**28, most: int = 1000, now: Callable[[], float] = lambda: 0.0
    ) -> None:
        super().__init__(journal)
        self._now = now
        self.purged: dict[tuple[str, ...], float] = {}
        self.touched = 0
        self._max_bytes, self._most = max_bytes, most
        self.named: dict[str, Namespace] = {}
        self.records: dict[str, Record] = {}

    async def namespaces(self) -> Mapping[str, Namespace]:
        with self.effect("namespaces"):
            return dict(self.named)

    async def changes(self) -> int:
        with self.effect("changes"):
            return self.touched

    async def touch(self) -> None:
        with self.effect("touch"):
            self.touched += 1

    async def create(self, namespace: Namespace) -> bool:
        with self.effect("create", namespace.name):
            if namespace.name in self.named:
                return False
            if len(self.named) >= self._most:
                raise NotStored("too many")
            self.named[namespace.name] = namespace
            self.records.setdefault(namespace.name, Record())
            return True

    async def freeze(self, name: str, at: float) -> bool:
        with self.effect("freeze", name):
            if name not in self.named:
                return False
            record, known = self.records[name], self.named[name]
            record.frozen = at if record.frozen is None else record.frozen
            if known.frozen is None:
                self.named[name] = replace(known, frozen=record.frozen)
            return True

    async def drop(self, name: str) -> int:
        with self.effect("drop", name):
            self.named.pop(name, None)
            self.purged[(name,)] = self._now()
            return len(self.records.pop(name, Record()).entries)

    async def empty(self, name: str) -> int:
        with self.effect("empty", name):
            record = self.records.get(name)
            if record is None or record.frozen is not None:
                raise NotStored("frozen")
            self.records[name] = Record()
            self.purged[(name,)] = self._now()
            return len(record.entries)

    async def get(self, name: str, cache_key: str) -> bytes | None:
        with self.effect("get", name, cache_key):
            return self._entries(name).get(cache_key, (0, None))[1]

    async def get_all(self, name: str, cache_keys: Sequence[str]) -> Sequence[bytes | None]:
        with self.effect("get", name, *cache_keys):
            return [self._entries(name).get(cache_key, (0, None))[1] for cache_key in cache_keys]

    async def move(self, name: str, cache_key: str, to: str, blob: bytes) -> bool:
        with self.effect("move", name, cache_key, to):
            entries = self.records[name].entries if name in self.records else {}
            if cache_key not in entries or to in entries:
                return False
            number, _ = entries.pop(cache_key)
            entries[to] = (number, blob)
            return True

    async def put(self, name: str, cache_key: str, blob: bytes, sent: float | None = None) -> bytes | None:
        with self.effect("put", name, cache_key):
            record = self.records.get(name)
            if record is None:
                raise NotStored("gone")
            if cache_key in record.entries:
                return record.entries[cache_key][1]
            if record.frozen is not None:
                raise NotStored("frozen")
            last = max(self.purged.get((name,), 0.0), self.purged.get((name, cache_key), 0.0))
            if sent is not None and sent <= last:
                raise NotStored("purged")
            if record.bytes + len(blob) > self._max_bytes:
                raise NotStored("full")
            record.last += 1
            record.entries[cache_key] = (record.last, blob)
            return None

    async def remove(self, name: str, cache_key: str) -> bool:
        with self.effect("remove", name, cache_key):
            self.purged[(name, cache_key)] = self._now()
            return self._entries(name).pop(cache_key, None) is not None

    async def page(self, name: str, after: int = 0, most: int = 256) -> Sequence[tuple[int, str]]:
        with self.effect("page", name, after):
            rows = [(number, cache_key) for cache_key, (number, _) in self._entries(name).items() if number > after]
            return sorted(rows)[:most]

    async def contents(self, name: str) -> NamespaceContents:
        with self.effect("held", name):
            record = self.records.get(name, Record(frozen=0.0))
            return NamespaceContents(len(record.entries), record.bytes, closed=record.frozen is not None)

    def _entries(self, name: str) -> dict[str, tuple[int, bytes]]:
        return self.records.get(name, Record()).entries
