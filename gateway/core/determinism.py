"""Which generate_tensor requests the published sampler answers identically every time.

The rules are measured facts about the open sampler (esm 3.2.1 and 3.4.1, ten random states a prompt), one function a
question. They say nothing about servers that batch, change hardware or change the model: see docs/caching.md.
"""

from gateway.core.nouns import Class, Determinism

_ORDER = "the random strategy draws the order of unmasking"
_ANNEALED = "annealing at temperature 0 still draws at 1e-6, and ties in bfloat16 fall by chance"


def of_generation(track: str, temperature: float, annealing: bool, strategy: str, steps: int) -> Determinism:
    """The class of one generate_tensor call; `steps` are the effective ones (sampling.py, generation.py of esm)."""
    ordered = strategy == "entropy" or steps == 1
    if track == "function":
        return _of_function(temperature, ordered)
    remedy = _remedy(temperature, annealing, ordered)
    if temperature > 0:
        return Determinism(Class.SAMPLED, "temperature is above 0", remedy)
    if not ordered:
        return Determinism(Class.PINNED, _ORDER, remedy)
    if annealing:
        return Determinism(Class.PINNED, _ANNEALED, remedy)
    return Determinism(Class.EXACT, "one step" if strategy != "entropy" else "greedy, in the order of entropy")


def _remedy(temperature: float, annealing: bool, ordered: bool) -> str:
    changes = {
        '"temperature": 0': temperature > 0,
        '"temperature_annealing": false': annealing,
        '"strategy": "entropy"': not ordered,
    }
    return "set " + ", ".join(change for change, needed in changes.items() if needed)


def _of_function(temperature: float, ordered: bool) -> Determinism:
    # The function track is never sampled: it takes the arg max at every temperature (sampling.py:243); the
    # temperature only moves the threshold for "none", so it stays in the key.
    if ordered:
        return Determinism(Class.EXACT, "the function track takes the arg max")
    if temperature > 0:
        return Determinism(Class.SAMPLED, _ORDER, 'set "strategy": "entropy"')
    return Determinism(Class.PINNED, _ORDER, 'set "strategy": "entropy"')
