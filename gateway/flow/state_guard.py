"""What this process knows of decisions, held against whatever the state store says.

A key that was revoked, an approval that was ended and a namespace that was frozen stay so, also where an older copy of
the store was put back, a failover lost the last changes, or somebody wrote an old record: each instance remembers the
decisions in its data directory and obeys them by itself (`narrowing.py`). What the store has lost is put back into it,
logged, counted and put on record. Two things close it to everything new, until an administrator accepts them
(`esm-gateway state accept`): no keys where there were some, and a decision of which nothing but its number is known.

An instance without a memory of its own believes the store.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from gateway.core.audit import Event
from gateway.core.decisions import KINDS, Acceptance, FinalDecision, Marks
from gateway.core.metrics import DECISIONS_REAPPLIED, STATE_CLOSED
from gateway.ports import (
    AuditLog,
    AuditUnavailable,
    Clock,
    DecisionMemory,
    DecisionStore,
    Meter,
    StateClosed,
)

MOST_NAMED = 20
Standing = Callable[[], Awaitable[Sequence[FinalDecision]]]


class StateGuard:
    """One process's view. `standing` finds decisions in the records of a store from before decisions were kept."""

    def __init__(
        self,
        store: DecisionStore,
        memory: DecisionMemory,
        standing: Standing,
        audit: AuditLog,
        clock: Clock,
        meter: Meter,
        report: Callable[[str], object],
    ) -> None:
        self._store, self._memory, self._standing, self._audit = store, memory, standing, audit
        self._clock, self._meter, self._report = clock, meter, report
        for kind in KINDS:
            for what in ("decision", "record"):
                self._meter.count(DECISIONS_REAPPLIED, kind, what, by=0.0)
        self._marks = Marks()
        self._looking = asyncio.Lock()
        self._looked = False
        self.closed = ""
        """Why nothing new is admitted; empty where the store is in order."""

    @property
    def marks(self) -> Marks:
        return self._marks

    def at(self, subject: str) -> float | None:
        """Since when a decision about it holds; None where there is none."""
        decision = self._marks.decisions.get(subject)
        return None if decision is None else decision.at

    def is_due(self) -> bool:
        """Whether to look although the store says that nothing has changed. Cheap enough to ask at every poll."""
        return bool(self.closed) or self._memory.changed()

    def require_open(self) -> None:
        """Raises StateClosed while the store is not the one that this instance knew."""
        if self.closed:
            raise StateClosed(self.closed)

    async def remember(self) -> None:
        """Read what this machine remembers."""
        remembered = await asyncio.to_thread(self._memory.load)
        self._marks = self._marks if remembered is None else self._marks.join(remembered)

    async def look(self) -> None:
        """Compare with the store. StoreUnavailable where it does not answer: then nothing has changed here."""
        async with self._looking:
            if self._memory.changed():
                await self.remember()
            subjects, keys = await self._store.subjects(), await self._store.keys_held()
            acceptance, before = await self._store.acceptance(), self._marks
            wanted = subjects - before.decisions.keys() if self._looked else subjects
            read = await self._store.read(sorted(wanted))
            present = {each.subject for each in read} | (subjects - wanted)
            marks = before.with_decisions(read)
            if acceptance is not None:
                marks = marks.accept(acceptance)
            self._marks = marks
            self._close(_why_closed(marks, keys))
            if keys or not self.closed:
                await self._put_back(present, keys)
                await self._save(keys, acceptance, before)
            self._looked = True

    async def next_number(self) -> int:
        await self.look()
        self.require_open()
        return self._marks.number + 1

    async def decide(self, subject: str, at: float) -> None:
        self.require_open()
        async with self._looking:
            decision = FinalDecision(subject, at, self._marks.number + 1)
            self._marks = self._marks.with_decisions([decision])
            self._marks = await asyncio.to_thread(self._memory.merge, self._marks)
            await self._store.add([decision])

    async def accept(self, by: str) -> Acceptance:
        """An administrator's word that what is missing is lost. On record before anything is admitted again."""
        await self.look()
        keys = await self._store.keys_held()
        at = max(self._clock.now(), self._marks.confirmed + 0.001)  # another machine's clock may be ahead
        acceptance = Acceptance(at, self._marks.number, self._marks.keys)
        facts = {"by": by, "why": self.closed, "number": acceptance.number, "keys": acceptance.keys, "held": keys}
        await self._audit.append(Event("state_accepted", acceptance.at, facts))
        await self._store.accept(acceptance)
        await self.look()
        return acceptance

    async def undone(self, decision: str, kind: str) -> None:
        """A record in the store contradicted a decision, which holds."""
        self._meter.count(DECISIONS_REAPPLIED, kind, "record")
        self._report(f"a record in the state store had undone a decision, which holds: {decision}")
        await self._record([decision])

    async def _put_back(self, present: Collection[str], keys: int) -> None:
        """What this instance knows and the store does not, or has in a form that nobody can read."""
        if keys and not self._marks.surveyed:
            # An older version kept no decisions, only records: what they say is put beside them, and is no loss.
            old = [each for each in await self._standing() if each.subject not in self._marks.decisions]
            self._marks = replace(self._marks.with_decisions(old), surveyed=True)
            present = {*present, *(each.subject for each in old)}
            await self._store.add(old)
        lost = [decision for subject, decision in self._marks.decisions.items() if subject not in present]
        if not lost or not await self._store.add(lost):
            return
        kinds = Counter(decision.kind for decision in lost)
        for kind in KINDS:
            self._meter.count(DECISIONS_REAPPLIED, kind, "decision", by=kinds[kind])
        told = ", ".join(f"{kind} {kinds[kind]}" for kind in KINDS if kinds[kind])
        self._report(f"the state store lacked {len(lost)} decisions ({told}); they hold, and were put back")
        await self._record([decision.subject for decision in lost])

    async def _save(self, keys: int, acceptance: Acceptance | None, before: Marks) -> None:
        if keys < before.keys and not self.closed:
            self._report(f"the state store holds {before.keys - keys} keys fewer than it did: it is an older one")
        news = replace(self._marks, keys=before.keys, confirmed=before.confirmed) != before
        accepted = acceptance is not None and acceptance.at > before.confirmed
        if not self.closed and (news or accepted or keys != before.keys):
            self._marks = replace(self._marks, keys=keys, confirmed=self._clock.now())
        elif not news:
            return
        try:
            self._marks = await asyncio.to_thread(self._memory.merge, self._marks)
        except OSError as error:
            # This process goes on obeying them; the next one asks the store.
            self._report(f"what is known of the state store could not be written down: {error.strerror}")

    async def _record(self, subjects: Sequence[str]) -> None:
        facts = {"decisions": list(subjects[:MOST_NAMED]), "count": len(subjects)}
        # They hold in any case: what narrows does not wait for a disk.
        with suppress(AuditUnavailable):
            await self._audit.append(Event("decisions_reapplied", self._clock.now(), facts))

    def _close(self, why: str) -> None:
        if why != self.closed:
            ended = "the state store was accepted, or is the known one again; new requests are admitted"
            self._report(f"nothing new is admitted: {why}" if why else ended)
        self.closed = why
        self._meter.gauge(STATE_CLOSED, 1.0 if why else 0.0)


def _why_closed(marks: Marks, keys: int) -> str:
    """For the operator, in a sentence without its end; empty where the store is in order."""
    if marks.keys and not keys:
        return f"the state store holds no keys, and it held {marks.keys}"
    gaps = marks.gaps()
    if gaps:
        numbers = ", ".join(map(str, gaps[:5]))
        return f"the state store has lost {len(gaps)} decisions that nothing here explains (number {numbers})"
    return ""
