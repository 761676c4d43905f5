"""Decisions that narrow what is allowed: a key revoked, an approval ended, a namespace frozen. None is ever taken back.

So they are a set that only grows, and two copies of it are joined by taking both: what an older copy of a store lacks
is put back, whatever that store says. Each decision has a number, from 1; a number that nobody can explain means that a
decision was lost. Nothing is stored or told here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

KINDS = ("key", "approval", "namespace")


@dataclass(frozen=True, slots=True)
class FinalDecision:
    """`subject` says what was decided about, `at` since when it holds (Unix time).

    `number` is 0 for a decision that was made before decisions were numbered. Two made at once may share a number.
    """

    subject: str
    at: float
    number: int = 0

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self.subject.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An administrator's word, at `at`, that decisions up to `number` and `keys` keys may be lost."""

    at: float
    number: int
    keys: int


@dataclass(frozen=True, slots=True)
class Marks:
    """What one instance remembers of the state store, to hold against it.

    `number` is the highest that was ever seen, `accepted` the highest below which gaps were accepted, `keys` how many
    keys the store held, `confirmed` when that was last so (Unix time). `surveyed`: decisions from before decisions were
    kept have been looked for in the store's records.
    """

    decisions: Mapping[str, FinalDecision] = field(default_factory=dict)
    number: int = 0
    accepted: int = 0
    keys: int = 0
    confirmed: float = 0.0
    surveyed: bool = False

    def gaps(self) -> tuple[int, ...]:
        """The numbers of decisions that were made and are not known."""
        known = {decision.number for decision in self.decisions.values()}
        return tuple(number for number in range(self.accepted + 1, self.number + 1) if number not in known)

    def with_decisions(self, decisions: Iterable[FinalDecision]) -> "Marks":
        """With these decisions besides. Of two about one subject the earlier time counts."""
        known, number = dict(self.decisions), self.number
        for decision in decisions:
            before = known.get(decision.subject, decision)
            both = (before.number, decision.number)
            known[decision.subject] = replace(decision, at=min(before.at, decision.at), number=max(both))
            number = max(number, decision.number)
        return replace(self, decisions=known, number=number)

    def join(self, other: "Marks") -> "Marks":
        """What either remembers; how many keys there were, as of the later one."""
        later = max(self, other, key=lambda marks: (marks.confirmed, marks.keys))
        joined = self.with_decisions(other.decisions.values())
        return replace(
            joined,
            number=max(joined.number, other.number),
            accepted=max(self.accepted, other.accepted),
            keys=later.keys,
            confirmed=later.confirmed,
            surveyed=self.surveyed or other.surveyed,
        )

    def accept(self, acceptance: Acceptance) -> "Marks":
        """What is left to hold against the store once this was accepted: nothing that it does not cover."""
        accepted = max(self.accepted, min(acceptance.number, self.number))
        if acceptance.at <= self.confirmed or acceptance.keys < self.keys:
            return replace(self, accepted=accepted)
        return replace(self, accepted=accepted, keys=0, confirmed=acceptance.at)


def of_key(public_id: str) -> str:
    """The subject of a decision about a virtual key."""
    return f"key:{public_id}"


def of_approval(user: str, approval_id: str) -> str:
    """The subject of a decision about one approval of a user."""
    return f"approval:{user}:{approval_id}"


def of_namespace(name: str, created: float) -> str:
    """The subject of a decision about a namespace; a later one of the same name is another."""
    return f"namespace:{name}:{float(created)!r}"


def from_audit(records: Iterable[Mapping[str, Any]]) -> Marks:
    """What the records of an audit chain, in their order, say about the store that they were written beside."""
    decisions: list[FinalDecision] = []
    marks = Marks()
    for record in records:
        kind, at, facts = record["kind"], float(record["at"]), record["facts"]
        subject = _subject(kind, facts)
        if subject is not None:
            decisions.append(FinalDecision(subject, at, int(facts.get("number", 0))))
        elif kind == "key_created":
            marks = replace(marks, keys=marks.keys + 1, confirmed=at)
        elif kind == "state_accepted":
            marks = replace(marks, accepted=max(marks.accepted, int(facts["number"])), keys=0, confirmed=at)
    return marks.with_decisions(decisions)


RECORDED = ("key_created", "key_revoked", "approval_revoked", "namespace_frozen", "state_accepted")
"""The kinds of audit records that `from_audit` reads."""


def _subject(kind: str, facts: Mapping[str, Any]) -> str | None:
    if kind == "key_revoked":
        return of_key(facts["key"])
    if kind == "approval_revoked":
        return of_approval(facts["user"], facts["approval"])
    if kind == "namespace_frozen" and "created" in facts:
        return of_namespace(facts["namespace"], facts["created"])
    return None
