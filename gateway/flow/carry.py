"""Frozen namespaces from one gateway to another, or into an archive: as a file, and back.

A file is believed in nothing. Its checksum is compared before anything else is looked at. Then every call in it is
read by its endpoint, under the rules of this gateway, and must be the call that its receipt names; only when all of
them have passed is the first one stored, at the address that this gateway makes for it. What was computed elsewhere so
keeps its time, its upstream and its bytes, and the receipts that are given for it here say the same.

Files are given and taken in pieces; no more than one recorded call is in memory.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from gateway import endpoints
from gateway.core import bundle, caching, entries, recorded
from gateway.core.audit import Event
from gateway.core.bundle import End, Head, Line, Unreadable
from gateway.core.caching import Scheme
from gateway.core.endpoint import Rules
from gateway.core.nouns import Call, Namespace
from gateway.core.problems import Problem
from gateway.core.recorded import Recorded
from gateway.core.wish import Wish
from gateway.flow.curate import Curator, State
from gateway.flow.orders import Refused, check_names, check_text
from gateway.ports import Archive, AuditLog, Clock, NotKept

NONCE_BYTES = 12
Open = Callable[[], Iterable[bytes]]
"""Opens a file anew and gives its pieces."""


@dataclass(frozen=True, slots=True)
class Carried:
    """How a transport ended. `left_out` are flagged calls that are not in the file."""

    namespace: Namespace
    entries: int
    left_out: int
    sha256: str


class Carrier:
    """Exports and imports. `key` seals records, `scheme` makes addresses, `version` is the gateway's own."""

    def __init__(
        self,
        *,
        archive: Archive,
        curator: Curator,
        audit: AuditLog,
        clock: Clock,
        key: bytes,
        scheme: Scheme,
        rules: Rules,
        version: str,
    ) -> None:
        self._archive, self._curator, self._audit, self._clock = archive, curator, audit, clock
        self._key, self._scheme, self._rules, self._version = key, scheme, rules, version

    async def export(self, name: str, write: Callable[[bytes], Any], by: str, *, flagged: bool) -> Carried:
        """Hand a frozen namespace to `write`, piece by piece; without `flagged`, those calls are left out."""
        check_names(by=by)
        shelf = await self._curator.shelf(name)
        if shelf.state is not State.FROZEN:
            raise Refused(
                "Only a frozen namespace can be exported, so that the file is the whole of it; freeze it first."
            )
        await self._record("namespace_exported", by=by, namespace=name, flagged=flagged)
        writer, left_out, written = bundle.Writer(), 0, 0
        write(writer.begin(Head(shelf.namespace, self._version)))
        async for entry in self._entries(name):
            if entry.flagged and not flagged:
                left_out += 1
                continue
            written += 1
            write(writer.add(entry, self._digest(entry)))
        write(writer.end(left_out))
        return Carried(shelf.namespace, written, left_out, writer.sha256)

    async def load(self, file: Open, name: str | None, by: str) -> Carried:
        """Read a file into a new namespace, under its own name or another. All of it or nothing; it is frozen."""
        check_names(by=by)
        try:
            digest = bundle.check(file())
            head, end = self._checked(file)
            namespace = replace(head.namespace, name=name or head.namespace.name)
            await self._curator.check_free(namespace.name)
            facts = {"namespace": namespace.name, "sha256": digest, "entries": end.entries}
            await self._record("namespace_imported", by=by, **facts)
            await self._curator.place(namespace)
            await self._fill(namespace, file)
        except Unreadable as reason:
            raise Refused(f"The file cannot be imported. {reason}") from None
        return Carried(namespace, end.entries, end.left_out, digest)

    async def _entries(self, name: str) -> AsyncIterator[Recorded]:
        after = 0
        while page := await self._archive.page(name, after):
            for _, address in page:
                blob = await self._archive.get(name, address)
                entry = None if blob is None else recorded.open_entry(self._key, f"{name} {address}", blob)
                if entry is None:
                    raise Refused(
                        f"Entry {address} is missing, broken or forged, so the namespace is not whole. What is left of "
                        f"it can be exported after `cache purge --namespace {name} --key {address}`."
                    )
                yield entry
            after = page[-1][0]

    def _digest(self, entry: Recorded) -> bytes:
        """The digest of the call as this gateway reads it, whatever models it has now."""
        anything = Rules({entry.model: 1.0}, max_tokens=2**31)
        return _parsed(entry, anything).canonical

    def _checked(self, file: Open) -> tuple[Head, End]:
        """The first and the last line of a file whose calls are all calls of this gateway; nothing is stored."""
        rows = bundle.read(file())
        head = next(rows)
        strange: set[str] = set()
        end: Head | Line | End = head
        for end in rows:
            if isinstance(end, Line):
                self._check(end, strange)
        if strange:
            raise Refused(
                f"The file has calls of models that this gateway does not have: {', '.join(sorted(strange))}."
            )
        if not isinstance(head, Head) or not isinstance(end, End):
            raise Unreadable("It does not begin or end as it must.")
        check_text(note=head.namespace.note)
        return head, end

    def _check(self, line: Line, strange: set[str]) -> None:
        entry = line.entry
        fixed = getattr(endpoints.find(f"/api/v1/{entry.endpoint}"), "fixed_model", None)
        if entry.model not in self._rules.models and entry.model != fixed:
            strange.add(entry.model[:100])
            return
        self._call(line)

    def _call(self, line: Line) -> Call:
        """The call of a line, read anew; it must be what the line says it is."""
        entry = line.entry
        try:
            call = _parsed(entry, self._rules)
        except Problem as problem:
            where = ", ".join(fault.pointer for fault in problem.faults[:3])
            raise Unreadable(
                f"Call {line.number} in it is not valid here: {problem.kind.title} {problem.detail} {where}".rstrip()
            ) from None
        told = (entry.target, entry.model, entry.flagged, line.call)
        if (call.target, call.model, call.flagged, call.canonical) != told:
            raise Unreadable(f"Call {line.number} in it is not the call that its receipt names.")
        return call

    async def _fill(self, namespace: Namespace, file: Open) -> None:
        """Store every call, then close the namespace. What is not whole is dropped again."""
        try:
            for line in _lines(bundle.read(file())):
                await self._put(namespace.name, line)
            await self._archive.freeze(namespace.name, namespace.frozen or self._clock.now())
        except NotKept as reason:
            await self._archive.drop(namespace.name)
            raise Refused(
                f"The file does not fit into a namespace here ({reason}): cache.namespace_max_bytes."
            ) from None
        except Unreadable:
            await self._archive.drop(namespace.name)
            raise

    async def _put(self, name: str, line: Line) -> None:
        entry, call = replace(line.entry, answer=entries.pack(line.entry.answer)), self._call(line)
        asked = Wish(pool=entry.pool, sample=entry.sample)
        address = caching.recorded_plan(call, self._scheme, name, False, asked).address
        assert address is not None
        blob = recorded.close(self._key, f"{name} {address}", entry, self._clock.token(NONCE_BYTES))
        if await self._archive.put(name, address, blob) is not None:
            raise Unreadable(f"Call {line.number} stands in it twice.")

    async def _record(self, kind: str, **facts: Any) -> None:
        await self._audit.append(Event(kind, self._clock.now(), facts))


def _parsed(entry: Recorded, rules: Rules) -> Call:
    endpoint = endpoints.find(f"/api/v1/{entry.endpoint}")
    if endpoint is None:
        raise Unreadable("It has calls of an endpoint that this gateway does not have.")
    return endpoint.parse(entry.body, entry.target.partition("?")[2], rules)


def _lines(rows: Iterator[Head | Line | End]) -> Iterator[Line]:
    return (row for row in rows if isinstance(row, Line))
