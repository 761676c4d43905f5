"""The audit record with a witness: where its chain ends stands in the state store as well, and in the log.

Before the first record, file and stored heads are held against each other. Where they do not fit (records without a
head, a head without records, records that are missing, a chain from another place), nothing is written until an
administrator says so: `accept` is the way, and is on record itself. A file that is moved away while the gateway runs
is no such case: the chain goes on in a new file.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.audit_file import FileAudit, SegmentMissing
from gateway.adapters.audit_segments import Segment, read_lines, read_segment, segments
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.core.audit import ChainHead, Event, StoredHead, follow, verify
from gateway.core.store_faults import FAULT_WORDS
from gateway.ports import AuditUnavailable, Clock, StoreUnavailable

LOG_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why file and stored heads do not fit; with the chain that can go on as soon as that is accepted."""

    why: str
    chain: str = ""


class WitnessedAudit:
    """`ports.AuditLog`. `report` takes the heads for the log."""

    def __init__(
        self, file: FileAudit, secret: bytes, heads: RedisAuditHead, clock: Clock, report: Callable[[str], object]
    ) -> None:
        self._file, self._secret, self.heads = file, secret, heads
        self._clock, self._report = clock, report
        self._settled = False
        self._logged = ChainHead()
        self._unstored = False

    async def append(self, event: Event) -> int:
        # Before a chain is begun: another process may have begun one, and its file may be gone.
        if not self._settled or not self._file.chain:
            misfit = await self.settle()
            if misfit is not None:
                raise AuditUnavailable(f"{misfit.why} (`esm-gateway audit accept`)")
        chain = self._file.chain
        try:
            seq = await self._append(event)
        except AuditUnavailable:
            # A person may have accepted something meanwhile, and another chain goes on in the file.
            if await self.settle() is not None or self._file.chain == chain:
                self._settled = False
                raise
            seq = await self._append(event)
        await self._store_head()
        return seq

    async def settle(self) -> Misfit | None:
        """Hold the file against the stored heads; None where they fit. AuditUnavailable without the state store."""
        try:
            segment = await asyncio.to_thread(read_segment, self._file.path, self._secret)
            misfit = await (self._settle_without_file() if segment is None else self._settle_file(segment))
        except StoreUnavailable as lost:
            why = f"the state store is lost ({lost.fault}): {lost.detail or FAULT_WORDS[lost.fault]}"
            raise AuditUnavailable(f"{why}; the record's end cannot be compared") from None
        self._settled = misfit is None
        return misfit

    async def accept(self, by: str, **ran_by: str) -> Misfit | None:
        """Go on in spite of a misfit, which is returned; on record. A chain that is not whole is begun anew.

        `ran_by` are facts about who ran the command.
        """
        misfit = await self.settle()
        if misfit is None:
            return None
        others: list[str] = []
        whole = await asyncio.to_thread(self._whole, misfit.chain)
        if whole is not None:
            self._file.adopt(misfit.chain, whole)
        else:
            others = [*await self.heads.at_place(self._place), *await self.heads.old_heads(self._place)]
            await asyncio.to_thread(self._file.begin_anew)
        facts = {"by": by, "why": misfit.why, "chains": others, **ran_by}
        await self._file.append(Event("chain_accepted", self._clock.now(), facts))
        self._settled = True
        await self._store_head()
        return misfit

    async def forever(self) -> None:
        """Put each new head into the log, at most one in ten seconds: whoever keeps the log elsewhere is a witness."""
        while True:
            await self.log_head()
            await self._clock.sleep(LOG_EVERY_S)

    async def log_head(self) -> None:
        """Also what other processes of this machine have written."""
        segment = await asyncio.to_thread(read_segment, self._file.path, self._secret)
        if segment is not None and segment.head != self._logged:
            self._logged = segment.head
            self._report(f"audit head: chain {segment.chain} record {segment.head.seq} {segment.head.mac}")
        if self._unstored:
            await self._store_head()

    @property
    def _place(self) -> str:
        return str(self._file.path)

    async def _append(self, event: Event) -> int:
        try:
            return await self._file.append(event)
        except SegmentMissing as missing:
            # Another process may have written after this one: the stored head knows.
            try:
                stored = await self.heads.get(self._file.chain)
            except StoreUnavailable:
                raise missing from None
            own = self._file.head
            if stored is None and own is None:
                raise
            known = [each for each in (own, stored.head if stored else None) if each is not None]
            self._file.resume(max(known, key=lambda head: head.seq))
            return await self._file.append(event)

    async def _store_head(self) -> None:
        head = self._file.head
        if head is None:
            return
        try:
            await self.heads.put(self._file.chain, StoredHead(head, self._place, self._clock.now()))
            self._unstored = False
        except StoreUnavailable:
            # The record is durable already. A stored head that is some records behind only weakens the check.
            self._unstored = True

    async def _settle_file(self, segment: Segment) -> Misfit | None:
        stored = await self.heads.get(segment.chain)
        if stored is None:
            return await self._settle_old(segment)
        if stored.place != self._place:
            return Misfit(f"its chain was last written to {stored.place}", segment.chain)
        if stored.head.seq > segment.head.seq:
            ends, written = segment.head.seq, stored.head.seq
            return Misfit(f"the audit file ends at record {ends}; {written} were written")
        self._file.adopt(segment.chain, stored.head)
        return None

    async def _settle_old(self, segment: Segment) -> Misfit | None:
        """A chain without a stored head. One from before chains had an identity has it under its machine's name."""
        for head in (await self.heads.old_heads(self._place)).values():
            found = await asyncio.to_thread(verify, self._secret, read_lines(segment.path), head)
            if isinstance(found, ChainHead):
                await self.heads.put(segment.chain, StoredHead(found, self._place, self._clock.now()))
                self._file.adopt(segment.chain, found)
                return None
        why = f"the audit file holds records up to {segment.head.seq}, and the state store holds no head of its chain"
        return Misfit(why, segment.chain)

    async def _settle_without_file(self) -> Misfit | None:
        if await asyncio.to_thread(_has_lines, self._file.path):
            return Misfit("the audit file does not begin and end with records of this gateway")
        stored = await self.heads.at_place(self._place)
        found = await asyncio.to_thread(segments, self._file.path, self._secret)
        beside = {segment.chain: segment for segment in found}  # the last of each chain
        # Other machines may name the same path: of the chains that were written to it, one that is here goes on.
        for chain, head in sorted(stored.items(), key=lambda row: row[1].at, reverse=True):
            if chain in beside and beside[chain].head.seq >= head.head.seq:
                self._file.adopt(chain, head.head)
                return None
        if stored or await self.heads.old_heads(self._place):
            written = max((head.head.seq for head in stored.values()), default=0)
            told = f"up to {written} " if written else ""
            return Misfit(f"there is no audit file, and records {told}were written to it")
        named = [segment for segment in found if segment.path.name.startswith(self._file.path.name)]
        for segment in reversed(named):
            if await self.heads.get(segment.chain) is None:
                why = "the audit file was moved, and the state store holds no head of its chain"
                return Misfit(why, segment.chain)
        return None

    def _whole(self, chain: str) -> ChainHead | None:
        """The end of a chain that is beside the file from its first record to its last."""
        at = ChainHead()  # of no chain there is no segment
        for segment in segments(self._file.path, self._secret):
            if segment.chain != chain:
                continue
            for line in read_lines(segment.path):
                after = follow(self._secret, at, line.rstrip(b"\n"))
                if isinstance(after, str):
                    return None
                at = after
        return at if at.seq else None


async def opened(audit: WitnessedAudit, warn: Callable[[str], object]) -> WitnessedAudit:
    """Settled, if the state store answers; what does not fit is said at once and not only at the first record."""
    with suppress(AuditUnavailable):
        misfit = await audit.settle()
        if misfit is not None:
            warn(f"nothing can be put on the audit record: {misfit.why}; see `esm-gateway audit accept`")
    return audit


def _has_lines(path: Path) -> bool:
    """Whether there is more in it than a line without its end."""
    try:
        return any(line.endswith(b"\n") for line in itertools.islice(read_lines(path), 1))
    except OSError:
        return False


def place_of(path: Path) -> Path:
    """How a file is named in stored heads, wherever a process was started."""
    return path.absolute()
