"""Which generate_tensor requests the published sampler answers identically every time.

The rules are measured facts about the open sampler (esm 3.2.1 and 3.4.1, ten random states a prompt): questions about
a call, and the class follows from the answers. They say nothing about servers that batch, change hardware or change
the model: see docs/caching.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.types import DeterminismClass, Determinism

_ORDER = "the random strategy draws the order of unmasking"
_ANNEALED = "annealing at temperature 0 still draws at 1e-6, and ties in bfloat16 fall by chance"
_ARG_MAX = "the function track takes the arg max"


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a call, and its answer: the call is `exact` where every one `holds`.

    `says` is the reason, either way. Where it does not hold, `otherwise` is the best class that is left, and `change`
    (a member of the body) would make it hold.
    """

    name: str
    asks: str
    holds: bool
    says: str
    otherwise: DeterminismClass
    change: str


def classify(track: str, temperature: float, annealing: bool, strategy: str, steps: int) -> Determinism:
    """The class of one generate_tensor call; `steps` are the effective ones (sampling.py, generation.py of esm)."""
    asked = questions(track, temperature, annealing, strategy, steps)
    missed = [question for question in asked if not question.holds]
    if missed:
        remedy = "set " + ", ".join(question.change for question in missed)
        return Determinism(missed[0].otherwise, missed[0].says, remedy)
    return Determinism(DeterminismClass.EXACT, _ARG_MAX if track == "function" else _ordered(strategy, steps).says)


def questions(track: str, temperature: float, annealing: bool, strategy: str, steps: int) -> Sequence[Question]:
    """What decides the class, the weightiest first: the first that does not hold gives class and reason."""
    if track == "function":
        # The function track is never sampled: it takes the arg max at every temperature (sampling.py:243); the
        # temperature only moves the threshold for "none", so it stays in the key.
        left = DeterminismClass.SAMPLED if temperature > 0 else DeterminismClass.PINNED
        drawn = Question("draw", "Is every token the arg max?", True, _ARG_MAX, DeterminismClass.SAMPLED, "")
        return drawn, _ordered(strategy, steps, left)
    return _at_zero(temperature), _ordered(strategy, steps), _unannealed(annealing)


def _at_zero(temperature: float) -> Question:
    says = "temperature is above 0" if temperature > 0 else "temperature is 0"
    asks = "Is the temperature 0?"
    return Question("temperature", asks, temperature == 0, says, DeterminismClass.SAMPLED, '"temperature": 0')


def _ordered(strategy: str, steps: int, otherwise: DeterminismClass = DeterminismClass.PINNED) -> Question:
    greedy = strategy == "entropy"
    says = "greedy, in the order of entropy" if greedy else "one step" if steps == 1 else _ORDER
    asks = "Is the order of unmasking decided, or everything unmasked in one step?"
    return Question("order", asks, greedy or steps == 1, says, otherwise, '"strategy": "entropy"')


def _unannealed(annealing: bool) -> Question:
    says = _ANNEALED if annealing else "annealing is off"
    asks = "Is annealing off?"
    return Question("annealing", asks, not annealing, says, DeterminismClass.PINNED, '"temperature_annealing": false')
