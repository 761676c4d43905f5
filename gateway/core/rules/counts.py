"""The rule `unmask_counts`: schedules that unmask the same number of positions in every round.

It repeats the sampler's float32 arithmetic. If a result is so near a whole number that another machine's cosine could
round to the other side, the rule does not apply.
"""

import numpy as np

from gateway.core.rules.rule import NormalForm, Rule, changed, positions_to_fill

NEAR = 1e-3
PREFIX = "counts "


def unmask_counts(form: NormalForm) -> NormalForm:
    not_greedy = form["temperature"] != 0 or form["temperature_annealing"] or form["track"] == "function"
    if not_greedy or form["schedule"].startswith(PREFIX):
        return form
    rounds = _rounds(form["schedule"], form["num_steps"], *positions_to_fill(form))
    if rounds is None:
        return form
    if len(rounds) == 1:
        return changed(form, schedule="cosine", num_steps=1)
    return changed(form, schedule=PREFIX + " ".join(map(str, rounds)), num_steps=len(rounds))


def _rounds(schedule: str, num_steps: int, masked: int, counted: int) -> list[int] | None:
    """How many positions each round unmasks, without the rounds that unmask none; None if that is uncertain."""
    steps = min(num_steps, counted)
    part = np.array([(i + 1) / steps for i in range(steps)], dtype=np.float32)
    left = np.cos(part * np.float32(np.pi) * np.float32(0.5)) if schedule == "cosine" else np.float32(1) - part
    after = left * np.float32(counted) + np.float32(0.1)
    if (np.abs(after - np.round(after)) < NEAR).any():
        return None
    rounds: list[int] = [int(count) for count in -np.diff(np.concatenate(([masked], after.astype(np.int64))))]
    return None if min(rounds) < 0 else [count for count in rounds if count]


COUNTS = (
    Rule(
        "unmask_counts",
        "sampler",
        "Schedules and steps that unmask equal numbers of positions in every round are equal.",
        "temperature 0 without annealing; rounds that unmask nothing do not count; off unless the settings name it",
        "0/189 differ (3.2.1), 0/24 (3.4.1), tests/sampler",
        "esm/utils/generation.py: _get_iterative_sampling_mask_for_prompt_and_step",
        unmask_counts,
        ("sequence", "structure", "secondary_structure", "sasa"),
        optional=True,
    ),
)
