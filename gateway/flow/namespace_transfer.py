"""Export and import of frozen namespaces as files.

A file is treated as untrusted. Its checksum is verified before anything else is read. Then every call in it is parsed
by its endpoint, under the rules of this gateway, and must be the call that its receipt names; every answer must be one
that would be kept if the upstream had given it (`core/answer_model.py`). Only when all of them have passed is the first
one stored, under this gateway's own cache key. An imported answer keeps its time, its upstream and its bytes, but for
texts where none belong, and the receipts issued for it here say the same.

Files are read and written in pieces; no more than one entry is in memory.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from gateway import endpoints
from gateway.core import answer_faults, cache_plan, entry_codec, export_format, namespace_entry, sampler_checks
from gateway.core.answer_model import JudgeConfig, Question, judge
from gateway.core.audit import Event
from gateway.core.cache_directives import CacheDirectives
from gateway.core.cache_plan import CacheConfig
from gateway.core.endpoint import ParseConfig
from gateway.core.export_format import ExportHeader, ExportRow, ExportTrailer, ExportUnreadable
from gateway.core.namespace_entry import NamespaceEntry
from gateway.core.problems import Problem
from gateway.core.types import Answer, Call, Namespace
from gateway.flow.admin_arguments import InvalidArgument, check_names, check_text
from gateway.flow.namespaces import NamespaceAdmin, NamespaceState
from gateway.ports import AuditLog, Clock, NamespaceStore, NotStored

NONCE_BYTES = 12
Open = Callable[[], Iterable[bytes]]
"""Opens a file again and yields its pieces."""


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What was exported or imported. `omitted` counts flagged calls that are not in the file."""

    namespace: Namespace
    entries: int
    omitted: int
    sha256: str


class NamespaceTransfer:
    """Exports and imports. `key` seals entries, `cache_config` makes cache keys, `version` is the gateway's own."""

    def __init__(
        self,
        *,
        namespace_store: NamespaceStore,
        namespaces: NamespaceAdmin,
        audit: AuditLog,
        clock: Clock,
        key: bytes,
        cache_config: CacheConfig,
        parse_config: ParseConfig,
        version: str,
    ) -> None:
        self._namespace_store, self._namespaces, self._audit, self._clock = namespace_store, namespaces, audit, clock
        self._key, self._cache_config, self._parse_config, self._version = key, cache_config, parse_config, version

    async def export(self, name: str, write: Callable[[bytes], Any], by: str, *, flagged: bool) -> TransferResult:
        """Write a frozen namespace, piece by piece; without `flagged`, flagged calls are omitted."""
        check_names(by=by)
        info = await self._namespaces.info(name)
        if info.state is not NamespaceState.FROZEN:
            raise InvalidArgument(
                "Only a frozen namespace can be exported, so that the file is complete; freeze it first."
            )
        await self._record("namespace_exported", by=by, namespace=name, flagged=flagged)
        writer, omitted, written = export_format.ExportWriter(), 0, 0
        write(writer.begin(ExportHeader(info.namespace, self._version)))
        async for entry in self._entries(name):
            if entry.flagged and not flagged:
                omitted += 1
                continue
            written += 1
            write(writer.add(entry, self._digest(entry)))
        write(writer.end(omitted))
        return TransferResult(info.namespace, written, omitted, writer.sha256)

    async def load(self, file: Open, name: str | None, by: str) -> TransferResult:
        """Read a file into a new namespace, under its own name or another. All of it or nothing; it is frozen."""
        check_names(by=by)
        try:
            digest = export_format.verify(file())
            head, end = self._checked(file)
            namespace = replace(head.namespace, name=name or head.namespace.name)
            await self._namespaces.check_free(namespace.name)
            facts = {"namespace": namespace.name, "sha256": digest, "entries": end.entries}
            await self._record("namespace_imported", by=by, **facts)
            await self._namespaces.add(namespace)
            await self._fill(namespace, file)
        except ExportUnreadable as reason:
            raise InvalidArgument(f"The file cannot be imported. {reason}") from None
        return TransferResult(namespace, end.entries, end.omitted, digest)

    async def _entries(self, name: str) -> AsyncIterator[NamespaceEntry]:
        after = 0
        while page := await self._namespace_store.page(name, after):
            for _, cache_key in page:
                blob = await self._namespace_store.get(name, cache_key)
                entry = None if blob is None else namespace_entry.decode(self._key, f"{name} {cache_key}", blob)
                if entry is None or not self._passes(entry):
                    raise InvalidArgument(
                        f"Entry {cache_key} is missing, broken, forged or unsafe, so the namespace is incomplete. "
                        f"The rest can be exported after `cache purge --namespace {name} --key {cache_key}`."
                    )
                yield entry
            after = page[-1][0]

    def _digest(self, entry: NamespaceEntry) -> bytes:
        return _as_recorded(entry).canonical_digest

    def _passes(self, entry: NamespaceEntry) -> bool:
        """Whether the answer is one that a caller would get, doubtful or not."""
        call, config = _as_recorded(entry), JudgeConfig(self._cache_config.check_echo, warn=False)
        return judge(endpoints.named(call.endpoint).answer, Question.of(call), entry.answer.body, config).passes

    def _checked(self, file: Open) -> tuple[ExportHeader, ExportTrailer]:
        """The first and the last line of a file whose calls are all valid here; nothing is stored."""
        rows = export_format.read(file())
        head = next(rows)
        unknown: set[str] = set()
        end: ExportHeader | ExportRow | ExportTrailer = head
        for end in rows:
            if isinstance(end, ExportRow):
                self._check(end, unknown)
        if unknown:
            raise InvalidArgument(
                f"The file has calls of models that this gateway does not have: {', '.join(sorted(unknown))}."
            )
        if not isinstance(head, ExportHeader) or not isinstance(end, ExportTrailer):
            raise ExportUnreadable("Its first or last line is missing.")
        check_text(note=head.namespace.note)
        return head, end

    def _check(self, line: ExportRow, unknown: set[str]) -> None:
        entry = line.entry
        fixed = getattr(endpoints.find(f"/api/v1/{entry.endpoint}"), "fixed_model", None)
        if entry.model not in self._parse_config.models and entry.model != fixed:
            unknown.add(entry.model[:100])
            return
        self._answer(line, self._call(line))

    def _call(self, line: ExportRow) -> Call:
        """The call of a line, parsed again; it must be what the line says it is."""
        entry = line.entry
        try:
            call = _parsed(entry, self._parse_config)
        except Problem as problem:
            where = ", ".join(error.pointer for error in problem.errors[:3])
            raise ExportUnreadable(
                f"Call {line.number} in it is not valid here: {problem.type.title} {problem.detail} {where}".rstrip()
            ) from None
        claimed = (entry.target, entry.model, entry.flagged, line.call_digest)
        if (call.target, call.model, call.flagged, call.canonical_digest) != claimed:
            raise ExportUnreadable(f"Call {line.number} in it is not the call that its receipt names.")
        return call

    def _answer(self, line: ExportRow, call: Call) -> Answer:
        """The answer of a line as it may be passed on; only a fit one is recorded."""
        answer, config = line.entry.answer, JudgeConfig(self._cache_config.check_echo, warn=False)
        judgement = judge(endpoints.named(call.endpoint).answer, Question.of(call), answer.body, config)
        if judgement.verdict != "fit":
            raise ExportUnreadable(f"Answer {line.number} in it is refused: {answer_faults.in_words(judgement.names)}.")
        return judgement.applied(answer)

    async def _fill(self, namespace: Namespace, file: Open) -> None:
        """Store every call, then close the namespace; an incomplete one is dropped again."""
        try:
            for line in _lines(export_format.read(file())):
                await self._put(namespace.name, line)
            await self._namespace_store.freeze(namespace.name, namespace.frozen or self._clock.now())
        except NotStored as reason:
            await self._namespace_store.drop(namespace.name)
            raise InvalidArgument(
                f"The file does not fit into a namespace here ({reason}): cache.namespace_max_bytes."
            ) from None
        except ExportUnreadable:
            await self._namespace_store.drop(namespace.name)
            raise

    async def _put(self, name: str, line: ExportRow) -> None:
        call = self._call(line)
        entry = replace(line.entry, answer=entry_codec.compress(self._answer(line, call)))
        asked = CacheDirectives(pool=entry.pool, sample=entry.sample)
        cache_key = cache_plan.namespace_plan(call, self._cache_config, name, False, asked).cache_key
        assert cache_key is not None
        blob = namespace_entry.encode(self._key, f"{name} {cache_key}", entry, self._clock.token(NONCE_BYTES))
        if await self._namespace_store.put(name, cache_key, blob) is not None:
            raise ExportUnreadable(f"Call {line.number} is in it twice.")

    async def _record(self, kind: str, **facts: Any) -> None:
        await self._audit.append(Event(kind, self._clock.now(), facts))


def _as_recorded(entry: NamespaceEntry) -> Call:
    """The call as this gateway parses it, whatever models it has now."""
    anything = ParseConfig(
        {entry.model: 1.0}, max_tokens=2**31, skipped_checks=sampler_checks.NAMES, max_unpacked_bytes=2**31
    )
    return _parsed(entry, anything)


def _parsed(entry: NamespaceEntry, rules: ParseConfig) -> Call:
    endpoint = endpoints.find(f"/api/v1/{entry.endpoint}")
    if endpoint is None:
        raise ExportUnreadable("It has calls of an endpoint that this gateway does not have.")
    return endpoint.parse(entry.body, entry.target.partition("?")[2], rules)


def _lines(rows: Iterator[ExportHeader | ExportRow | ExportTrailer]) -> Iterator[ExportRow]:
    return (row for row in rows if isinstance(row, ExportRow))
