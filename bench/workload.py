"""Ten thousand calls as a lab sends them: questions, who asks, how it is written, in which order.

How many of them are truly distinct is known from how they were made, at each level of the cache's rules.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any

from bench.notebook import Body, Question, questions
from bench.spellings import PEOPLE, spelled
from bench.truth import digest

ASKED_OFTEN = 5
USUAL_VARIANT = 0.8


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: which question in which variant, by whom (an index of PEOPLE), and the bytes that they send."""

    question: int
    variant: int
    person: int
    text: bytes = field(repr=False)


class Workload:
    """`calls` calls about a fifth as many questions, the first ones asked most."""

    def __init__(self, calls: int, seed: int) -> None:
        chance = random.Random(seed)
        self.questions: Sequence[Question] = list(islice(questions(seed), max(1, calls // ASKED_OFTEN)))
        count = len(self.questions)
        often = chance.choices(
            range(count), cum_weights=list(accumulate(1 / (1 + i) ** 0.7 for i in range(count))), k=calls - count
        )
        order = [*range(count), *often]
        chance.shuffle(order)
        self.calls = [self._asked(number, chance) for number in order]
        self._digests = [[digest(body) for body in question.variants] for question in self.questions]

    def _asked(self, number: int, chance: random.Random) -> Asked:
        variants = self.questions[number].variants
        usual = chance.random() < USUAL_VARIANT or len(variants) == 1
        variant = 0 if usual else chance.randrange(1, len(variants))
        person = chance.randrange(len(PEOPLE))
        return Asked(number, variant, person, spelled(variants[variant], PEOPLE[person], chance))

    def body(self, asked: Asked) -> Body:
        return self.questions[asked.question].variants[asked.variant]

    def cls(self, asked: Asked, level: str) -> Any:
        """What should be computed once; None: sampled, so computed every time."""
        if self.questions[asked.question].sampled:
            return None
        return (asked.question, asked.variant) if level == "wire" else asked.question

    def expected(self, asked: Asked, level: str) -> Sequence[int]:
        """The digests that an answer may carry: at level `sampler` that of any variant."""
        digests = self._digests[asked.question]
        return digests if level == "sampler" else digests[asked.variant : asked.variant + 1]

    def distinct(self, level: str) -> int:
        return len({cls for cls in self.classes(level) if cls is not None})

    def sampled(self) -> int:
        return sum(cls is None for cls in self.classes("wire"))

    def classes(self, level: str) -> Iterator[Any]:
        return (self.cls(asked, level) for asked in self.calls)

    def texts(self) -> int:
        """How many different bodies there are, byte by byte."""
        return len({asked.text for asked in self.calls})
