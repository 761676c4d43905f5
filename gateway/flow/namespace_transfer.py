"""Export and import of frozen namespaces as files.

An exported file is signed by this gateway. A file to import must be signed by a gateway that the administrator trusts;
any other needs an explicit word. Its content is treated as untrusted either way. Its checksum is verified before
anything else is read. Then every call in it is parsed by its endpoint, under the rules of this gateway, and must be the
call that its receipt names; every answer must be one that would be kept if the upstream had given it
(`core/answer_model.py`). Only when all of them have passed is the first one stored, under this gateway's own cache key.
An imported answer keeps its time, its upstream and its bytes, but for texts where none belong; the receipts issued for
it here say that a file says so, which one, who imported it, and what vouches for it.

Files are read and written in pieces; no more than one entry is in memory.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from gateway import endpoints
from gateway.core import (
    answer_faults,
    cache_plan,
    entry_codec,
    export_format,
    namespace_entry,
    receipts,
    sampler_checks,
)
from gateway.core.answer_model import JudgeConfig, Question, judge
from gateway.core.audit import Event
from gateway.core.cache_directives import CacheDirectives
from gateway.core.cache_plan import CacheConfig, CachePlan
from gateway.core.endpoint import ParseConfig
from gateway.core.export_format import ExportHeader, ExportRow, ExportTrailer
from gateway.core.export_frames import ExportUnreadable
from gateway.core.namespace_entry import NamespaceEntry
from gateway.core.problems import Problem
from gateway.core.receipts import Receipt
from gateway.core.signatures import public_text
from gateway.core.types import Answer, Call, Imported, Namespace
from gateway.flow.admin_arguments import InvalidArgument, check_names, check_text
from gateway.flow.import_trust import TransferIdentity, is_trusted
from gateway.flow.namespaces import NamespaceAdmin, NamespaceState
from gateway.ports import AuditLog, Clock, NamespaceStore, NotStored

NONCE_BYTES = 12
Open = Callable[[], Iterable[bytes]]
"""Opens a file again and yields its pieces."""


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What was exported or imported. `omitted` counts flagged calls that are not in the file.

    `signer` is the public key that the file is signed with, if it is; `trusted` is whether that key is.
    """

    namespace: Namespace
    entries: int
    omitted: int
    sha256: str
    signer: bytes = b""
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class RecordedReceipt:
    """The receipt of an entry, with its identifier; `pool` and `sample` tell equal calls apart."""

    endpoint: str
    pool: str | None
    sample: int | None
    receipt: Receipt
    identifier: str


class NamespaceTransfer:
    """Exports and imports. `cache_config` makes cache keys, `parse_config` parses the calls of a file."""

    def __init__(
        self,
        *,
        namespace_store: NamespaceStore,
        namespaces: NamespaceAdmin,
        audit: AuditLog,
        clock: Clock,
        identity: TransferIdentity,
        cache_config: CacheConfig,
        parse_config: ParseConfig,
    ) -> None:
        self._namespace_store, self._namespaces, self._audit, self._clock = namespace_store, namespaces, audit, clock
        self._identity, self._cache_config, self._parse_config = identity, cache_config, parse_config

    async def export(self, name: str, write: Callable[[bytes], Any], by: str, *, flagged: bool) -> TransferResult:
        """Write a frozen namespace, piece by piece, and sign it; without `flagged`, flagged calls are omitted."""
        check_names(by=by)
        info = await self._namespaces.info(name)
        if info.state is not NamespaceState.FROZEN:
            raise InvalidArgument(
                "Only a frozen namespace can be exported, so that the file is complete; freeze it first."
            )
        signer = self._identity.signer()
        await self._record("namespace_exported", by=by, namespace=name, flagged=flagged)
        writer, omitted, written = export_format.ExportWriter(signer), 0, 0
        write(writer.begin(ExportHeader(info.namespace, self._identity.version)))
        async for cache_key, entry in self._entries(name):
            if entry.flagged and not flagged:
                omitted += 1
                continue
            written += 1
            issued = self._receipt(name, cache_key, entry)
            write(writer.add(entry, issued.receipt.call, issued.identifier))
        write(writer.end(omitted))
        return TransferResult(info.namespace, written, omitted, writer.sha256, signer.public_key, trusted=True)

    async def receipts(self, name: str) -> list[RecordedReceipt]:
        """The receipts of all entries of a namespace, in the order in which they were recorded."""
        await self._namespaces.info(name)
        return [self._receipt(name, cache_key, entry) async for cache_key, entry in self._entries(name)]

    async def load(
        self, file: Open, name: str | None, by: str, *, trust: Collection[bytes] = (), unverified: bool = False
    ) -> TransferResult:
        """Read a file into a new namespace, under its own name or another. All of it or nothing; it is frozen.

        The file must be signed with a key in `trust` or in the settings, or with this gateway's own; with `unverified`
        any file will do, and receipts of its answers say so.
        """
        check_names(by=by)
        try:
            seal = export_format.seal_of(file())
            trusted = is_trusted(seal.signer, self._identity, trust, unverified=unverified)
            head, end = self._checked(file)
            namespace = replace(head.namespace, name=name or head.namespace.name)
            await self._namespaces.check_free(namespace.name)
            origin = Imported(bytes.fromhex(seal.sha256), self._clock.now(), by, seal.signer, trusted)
            await self._record("namespace_imported", by=by, **_facts(namespace, end, origin))
            await self._namespaces.add(namespace)
            await self._fill(namespace, file, origin)
        except ExportUnreadable as reason:
            raise InvalidArgument(f"The file cannot be imported. {reason}") from None
        return TransferResult(namespace, end.entries, end.omitted, seal.sha256, seal.signer, trusted)

    async def _entries(self, name: str) -> AsyncIterator[tuple[str, NamespaceEntry]]:
        after = 0
        while page := await self._namespace_store.page(name, after):
            for _, cache_key in page:
                blob = await self._namespace_store.get(name, cache_key)
                entry = None if blob is None else self._opened(f"{name} {cache_key}", blob)
                if entry is None or not self._passes(entry):
                    raise InvalidArgument(
                        f"Entry {cache_key} is missing, broken, forged or unsafe, so the namespace is incomplete. "
                        f"The rest can be exported after `cache purge --namespace {name} --key {cache_key}`."
                    )
                yield cache_key, entry
            after = page[-1][0]

    def _receipt(self, name: str, cache_key: str, entry: NamespaceEntry) -> RecordedReceipt:
        """The receipt that callers get with the answer."""
        digest = self._digest(name, cache_key, entry)
        receipt = replace(export_format.receipt_of(entry, digest), imported=entry.answer.imported)
        identifier = receipts.encode(self._identity.receipts, receipt)
        return RecordedReceipt(entry.endpoint, entry.pool, entry.sample, receipt, identifier)

    def _opened(self, address: str, blob: bytes) -> NamespaceEntry | None:
        return namespace_entry.decode(self._identity.records, address, blob)

    def _digest(self, name: str, cache_key: str, entry: NamespaceEntry) -> bytes:
        """The digest of the call; the former one where the entry is from before the present canonical form."""
        call = _as_recorded(entry)
        return call.former_digest if self._plan(call, name, entry).former_key == cache_key else call.canonical_digest

    def _plan(self, call: Call, name: str, entry: NamespaceEntry) -> CachePlan:
        asked = CacheDirectives(pool=entry.pool, sample=entry.sample)
        return cache_plan.namespace_plan(call, self._cache_config, name, False, asked)

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
        claimed = entry.target, entry.model, entry.flagged
        # A file from before the present canonical form names the call by the former one.
        known = line.call_digest in (call.canonical_digest, call.former_digest)
        if (call.target, call.model, call.flagged) != claimed or not known:
            raise ExportUnreadable(f"Call {line.number} in it is not the call that its receipt names.")
        return call

    def _answer(self, line: ExportRow, call: Call) -> Answer:
        """The answer of a line as it may be passed on; only a fit one is recorded."""
        answer, config = line.entry.answer, JudgeConfig(self._cache_config.check_echo, warn=False)
        judgement = judge(endpoints.named(call.endpoint).answer, Question.of(call), answer.body, config)
        if judgement.verdict != "fit":
            raise ExportUnreadable(f"Answer {line.number} in it is refused: {answer_faults.in_words(judgement.names)}.")
        return judgement.applied(answer)

    async def _fill(self, namespace: Namespace, file: Open, origin: Imported) -> None:
        """Store every call, then close the namespace; an incomplete one is dropped again."""
        try:
            for line in _lines(export_format.read(file())):
                await self._put(namespace.name, line, origin)
            await self._namespace_store.freeze(namespace.name, namespace.frozen or self._clock.now())
        except NotStored as reason:
            await self._namespace_store.drop(namespace.name)
            raise InvalidArgument(
                f"The file does not fit into a namespace here ({reason}): cache.namespace_max_bytes."
            ) from None
        except ExportUnreadable:
            await self._namespace_store.drop(namespace.name)
            raise

    async def _put(self, name: str, line: ExportRow, origin: Imported) -> None:
        origin = replace(origin, issued=receipts.short(line.issued) if line.issued else "")
        call = self._call(line)
        answer = replace(entry_codec.compress(self._answer(line, call)), imported=origin)
        entry = replace(line.entry, answer=answer)
        plan = self._plan(call, name, entry)
        assert plan.cache_key is not None
        # Two spellings of one call may have been recorded before the present canonical form. The first becomes the
        # answer to the call, each later one stays the answer to its own spelling.
        former = (plan.former_key,) if plan.former_key is not None and line.call_digest == call.former_digest else ()
        for cache_key in (plan.cache_key, *former):
            address, nonce = f"{name} {cache_key}", self._clock.token(NONCE_BYTES)
            blob = namespace_entry.encode(self._identity.records, address, entry, nonce)
            if await self._namespace_store.put(name, cache_key, blob) is None:
                return
        raise ExportUnreadable(f"Call {line.number} is in it twice.")

    async def _record(self, kind: str, **facts: Any) -> None:
        await self._audit.append(Event(kind, self._clock.now(), facts))


def _facts(namespace: Namespace, end: ExportTrailer, origin: Imported) -> dict[str, Any]:
    """What is on record of an import."""
    facts = {"namespace": namespace.name, "sha256": origin.file.hex(), "entries": end.entries}
    signed_by = {"signed_by": public_text(origin.signer)} if origin.signer else {}
    return {**facts, "signature": origin.signature, **signed_by}


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
