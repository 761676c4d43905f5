"""What may be served: a model of answers, their replacements, purges and revocations, as several workers hear of them.

Times are seconds since the epoch, of one machine. A worker has heard of what was finished before its latest look began
(`InvalidationPoller.poll`). Then:

- an answer whose call was sent before a purge that it falls under began is not served;
- an answer that another one has replaced is not served, unless the replaced one was put back into the store;
- a key that was revoked is refused.

What was not finished, because a store was away, may have happened or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Question:
    """One call: in the shared cache, or in a namespace."""

    name: str
    model: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """A purge that was carried out: of one question by its cache key, of a namespace, or of the shared cache."""

    began: float
    ended: float
    question: str = ""
    namespace: str | None = None
    model: str = ""
    older_than_s: float = 0.0

    def concerns(self, question: Question, sent: float) -> bool:
        """Whether it takes away an answer to this question whose call was sent then."""
        if self.question:
            return self.question == question.name and sent < self.began
        if self.namespace != question.namespace:
            return False
        return self.model in ("", question.model) and sent < self.began - self.older_than_s


@dataclass(slots=True)
class Standing:
    """The answers that have stood in a store, oldest first; in one place those of which any may stand."""

    places: list[tuple[float, set[int]]] = field(default_factory=list)

    def put(self, at: float, serial: int, beside: bool) -> None:
        """`beside` others, of which any may have been the last."""
        if not self.places or serial not in self.places[-1][1]:
            self.places.append((at, {serial, *(self.latest() if beside else ())}))

    def put_back(self) -> None:
        """Any that ever stood may stand again."""
        if self.places:
            self.places[-1][1].update(*(serials for _, serials in self.places))

    def latest(self) -> set[int]:
        return self.places[-1][1] if self.places else set()

    def since(self, looked: float) -> set[int]:
        """What may have been read by somebody who knows all that was put before they looked."""
        before = [number for number, (at, _) in enumerate(self.places) if at < looked]
        return set().union(*(serials for _, serials in self.places[max(before, default=0) :]))


@dataclass(slots=True)
class Model:
    """All that has happened, and what of it each worker has heard: the time at which its latest look began."""

    questions: Mapping[str, Question]
    sent: dict[int, float] = field(default_factory=dict)
    answered: dict[int, float] = field(default_factory=dict)
    purges: list[Purged] = field(default_factory=list)
    revoked: dict[str, float] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    standing: dict[str, Standing] = field(default_factory=dict)
    looked: dict[int, float] = field(default_factory=dict)

    def stands(self, question: str) -> Standing:
        return self.standing.setdefault(question, Standing())

    def fault(self, looked: float, user: str, question: str, asked: float, serial: int | None) -> str | None:
        """Why this must not have been served; None where it may. `serial` is None for a refusal of the key.

        `looked` is when the worker had looked last as it was asked.
        """
        refused = user in self.revoked
        if serial is None:
            return None if refused or user in self.doubtful else f"a good key was refused: {user}"
        if refused and self.revoked[user] < looked:
            return f"a revoked key was served: {user}"
        if self.sent[serial] >= asked:
            return None  # computed for this very request
        for purge in self.purges:
            if purge.ended < looked and purge.concerns(self.questions[question], self.sent[serial]):
                return f"answer {serial} was purged: {purge}"
        if self.answered[serial] < asked and serial not in self.stands(question).since(looked):
            return f"answer {serial} was replaced by {sorted(self.stands(question).latest())}"
        return None
