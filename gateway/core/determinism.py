"""Which generate_tensor requests the published sampler answers identically every time.

The conditions are measured facts about the open sampler (esm 3.2.1 and 3.4.1, ten random states a prompt). They say
nothing about servers that batch, change hardware or change the model: see docs/caching.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.types import Determinism, DeterminismClass

_ORDER = "the random strategy draws the order of unmasking"
_ANNEALED = "annealing at temperature 0 still draws at 1e-6, and ties in bfloat16 fall by chance"
_ARG_MAX = "the function track takes the arg max"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition for `exact`: a question about a call, and whether the answer is yes.

    `reason` says why, either way. If it does not hold, the class is `class_if_not` at best, and `remedy` (a member of
    the body) would make it hold.
    """

    name: str
    question: str
    holds: bool
    reason: str
    class_if_not: DeterminismClass
    remedy: str


def classify(track: str, temperature: float, annealing: bool, strategy: str, steps: int) -> Determinism:
    """The class of one generate_tensor call; `steps` are the effective ones (sampling.py, generation.py of esm)."""
    unmet = [each for each in conditions(track, temperature, annealing, strategy, steps) if not each.holds]
    if unmet:
        return Determinism(unmet[0].class_if_not, unmet[0].reason, "set " + ", ".join(each.remedy for each in unmet))
    return Determinism(DeterminismClass.EXACT, _ARG_MAX if track == "function" else _ordered(strategy, steps).reason)


def conditions(track: str, temperature: float, annealing: bool, strategy: str, steps: int) -> Sequence[Condition]:
    """What decides the class, most important first: the first that does not hold gives class and reason."""
    if track == "function":
        # The function track is never sampled: it takes the arg max at every temperature (sampling.py:243); the
        # temperature only moves the threshold for "none", so it is part of the cache key.
        class_if_not = DeterminismClass.SAMPLED if temperature > 0 else DeterminismClass.PINNED
        arg_max = Condition("draw", "Is every token the arg max?", True, _ARG_MAX, DeterminismClass.SAMPLED, "")
        return arg_max, _ordered(strategy, steps, class_if_not)
    return _at_zero(temperature), _ordered(strategy, steps), _unannealed(annealing)


def _at_zero(temperature: float) -> Condition:
    reason = "temperature is above 0" if temperature > 0 else "temperature is 0"
    question = "Is the temperature 0?"
    return Condition("temperature", question, temperature == 0, reason, DeterminismClass.SAMPLED, '"temperature": 0')


def _ordered(strategy: str, steps: int, class_if_not: DeterminismClass = DeterminismClass.PINNED) -> Condition:
    greedy = strategy == "entropy"
    reason = "greedy, in the order of entropy" if greedy else "one step" if steps == 1 else _ORDER
    question = "Is the order of unmasking decided, or everything unmasked in one step?"
    return Condition("order", question, greedy or steps == 1, reason, class_if_not, '"strategy": "entropy"')


def _unannealed(annealing: bool) -> Condition:
    reason = _ANNEALED if annealing else "annealing is off"
    question = "Is annealing off?"
    return Condition(
        "annealing", question, not annealing, reason, DeterminismClass.PINNED, '"temperature_annealing": false'
    )
