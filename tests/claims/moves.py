"""One body written otherwise, so that the published sampler must give the same tokens: one move for each rule.

A move is made of two parts: `prepare` bends a random body until there is something to move, `move` then makes the
twin, or says None where later preparations took the occasion away. Written from the facts about the sampler, without
the product's rules; tests/sampler plays both sides on the real one.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from tests.claims.bodies import (
    MASK,
    ORDINARY,
    SPECIAL,
    annotations,
    atom,
    backbones,
    coordinates,
    discards,
    length,
    loners,
    nothing,
    steps,
    token,
    waits,
)
from tests.claims.table import TRACKS, Json, empty

BUT_STRUCTURE = ("sequence", "secondary_structure", "sasa", "function")
BUT_FUNCTION = ("sequence", "structure", "secondary_structure", "sasa")


@dataclass(frozen=True)
class Move:
    """`prepare` works in place; `move` gives the twin or None."""

    prepare: Callable[[Random, Json], None]
    move: Callable[[Random, Json], Json | None]
    tracks: tuple[str, ...] = TRACKS


def twin(made: Json) -> Json:
    return copy.deepcopy(made)


def _full_structure(chance: Random, n: int) -> list[int]:
    return [4098, *(chance.choice([4096, chance.randrange(4096)]) for _ in range(n - 2)), 4097]


def give_structure(chance: Random, made: Json) -> None:
    """Structure tokens that condition."""
    inputs = made["inputs"]
    if inputs["structure"] is None:
        inputs["structure"] = _full_structure(chance, length(made))
    if inputs["coordinates"] is not None:
        made["condition_on_coordinates_only"] = False


def give_coordinates(chance: Random, made: Json) -> None:
    made["inputs"]["coordinates"] = coordinates(chance, length(made))


def alone(chance: Random, made: Json) -> None:
    give_coordinates(chance, made)
    made["condition_on_coordinates_only"] = True


def other_structure(chance: Random, made: Json) -> Json | None:
    if not discards(made):
        return None
    other, n = twin(made), length(made)
    given = made["inputs"]["structure"]
    fresh = [chance.randint(-1, 4100) for _ in range(n)]
    other["inputs"]["structure"] = fresh if given is None or chance.random() < 0.5 else None
    return other


def minus_one(chance: Random, made: Json) -> Json | None:
    given = made["inputs"]["structure"]
    if given is None or discards(made) or made["track"] == "structure" or 4096 not in given[1:-1]:
        return None
    other = twin(made)
    places = [i for i in range(1, len(given) - 1) if given[i] == 4096]
    for i in chance.sample(places, chance.randint(1, len(places))):
        other["inputs"]["structure"][i] = -1
    return other


def give_masked_structure(chance: Random, made: Json) -> None:
    give_structure(chance, made)
    made["inputs"]["structure"][chance.randrange(1, length(made) - 1)] = 4096


def give_breaks(chance: Random, made: Json) -> None:
    """Structure tokens, and perhaps a chain break or a pad in the sequence."""
    give_structure(chance, made)
    sequence = made["inputs"]["sequence"]
    if sequence is not None and made["track"] != "sequence" and chance.random() < 0.7:
        sequence[chance.randrange(1, len(sequence) - 1)] = chance.choice([31, 31, 1])
        made["num_steps"] = min(made["num_steps"], waits(made))


def overwritten(chance: Random, made: Json) -> Json | None:
    given, sequence = made["inputs"]["structure"], made["inputs"]["sequence"]
    if given is None or discards(made) or made["track"] == "structure":
        return None
    n = len(given)
    over = [0, n - 1] if sequence is None else [i for i in range(n) if sequence[i] in (0, 1, 2, 31)]
    other = twin(made)
    for i in chance.sample(over, chance.randint(1, len(over))):
        other["inputs"]["structure"][i] = chance.choice([t for t in range(4090, 4101) if t != given[i]])
    return other


def side_chains(chance: Random, made: Json) -> Json | None:
    rows = made["inputs"]["coordinates"]
    if rows is None:
        return None
    other, whole, lone = twin(made), backbones(made), loners(made)
    width = chance.choice([3, 14, 37])
    for i, row in enumerate(rows):
        fresh = nothing(width)
        if i in whole:
            fresh[:3] = row[:3]
            fresh[3:] = [chance.choice([[None] * 3, atom(chance)]) for _ in range(width - 3)]
        elif i in lone:
            fresh[chance.randrange(width)] = atom(chance)
        other["inputs"]["coordinates"][i] = fresh
    return other if other != made else None


def give_unknown(chance: Random, made: Json) -> None:
    made["inputs"]["coordinates"] = [nothing(chance.choice([3])) for _ in range(length(made))]
    for row in made["inputs"]["coordinates"]:
        if chance.random() < 0.2:
            row[1] = [chance.uniform(-9, 9) // 1, None, 1.5]
    if made["inputs"]["structure"] is not None:
        if made["track"] == "structure" or chance.random() < 0.5:
            made["condition_on_coordinates_only"] = False
        else:
            made["inputs"]["structure"] = None
    made["num_steps"] = min(made["num_steps"], waits(made))


def no_coordinates(chance: Random, made: Json) -> Json | None:
    rows, structure = made["inputs"]["coordinates"], made["inputs"]["structure"]
    if rows is None or backbones(made) or loners(made) or (structure is not None and discards(made)):
        return None
    other = twin(made)
    other["inputs"]["coordinates"] = None
    return other if any(track is not None for track in other["inputs"].values()) else None


def give_annotations(chance: Random, made: Json) -> None:
    made["inputs"]["residue_annotation"] = annotations(chance, length(made))


def swapped(chance: Random, made: Json) -> Json | None:
    rows = made["inputs"]["residue_annotation"] or []
    pairs = [i for i, row in enumerate(rows) if len(row) == 2]
    if not pairs:
        return None
    other = twin(made)
    for i in chance.sample(pairs, chance.randint(1, len(pairs))):
        other["inputs"]["residue_annotation"][i].reverse()
    return other


def give_zeros(chance: Random, made: Json) -> None:
    made["inputs"]["residue_annotation"] = [[] for _ in range(length(made))]


def no_annotations(chance: Random, made: Json) -> Json | None:
    rows = made["inputs"]["residue_annotation"]
    if rows is None or any(rows):
        return None
    other = twin(made)
    other["inputs"]["residue_annotation"] = None
    return other


def give_empty(chance: Random, made: Json) -> None:
    name = chance.choice([name for name in TRACKS if name != made["track"]])
    made["inputs"][name] = empty(name, length(made))
    made["num_steps"] = min(made["num_steps"], waits(made))


def no_empty(chance: Random, made: Json) -> Json | None:
    inputs, n = made["inputs"], length(made)
    found = [name for name in TRACKS if name != made["track"] and inputs[name] == empty(name, n)]
    if not found or sum(track is not None for track in inputs.values()) <= 1:
        return None
    other = twin(made)
    other["inputs"][chance.choice(found)] = None
    return other


def foreign(chance: Random, made: Json) -> Json | None:
    ordinary = ORDINARY[made["track"]]
    if made["track"] == "function":
        return None
    strange = [i for i in (0, 1, 2, -1, -(2**50), ordinary[-1] + 1, 4096, 4100, 5000, 2**50) if i not in ordinary]
    other = twin(made)
    other["invalid_ids"] = sorted({*made["invalid_ids"], *chance.sample(strange, chance.randint(1, 4))})
    return other if other != made else None


def any_ids(chance: Random, made: Json) -> Json | None:
    if made["track"] != "function":
        return None
    other = twin(made)
    other["invalid_ids"] = sorted({*chance.sample(range(-3, 270), chance.randint(1, 9)), 271})
    return other if other != made else None


def all_steps(chance: Random, made: Json) -> None:
    made["num_steps"] = waits(made)


def more_steps(chance: Random, made: Json) -> Json | None:
    if made["num_steps"] < waits(made) or made["num_steps"] >= length(made):
        return None
    other = twin(made)
    other["num_steps"] = chance.randint(made["num_steps"] + 1, length(made))
    return other


def one_step(chance: Random, made: Json) -> None:
    """One step, or one position; then the number of steps is as good as any."""
    made["num_steps"] = 1


def other_schedule(chance: Random, made: Json) -> Json | None:
    if steps(made) != 1:
        return None
    return {**twin(made), "schedule": "linear" if made["schedule"] == "cosine" else "cosine"}


def other_strategy(chance: Random, made: Json) -> Json | None:
    if steps(made) != 1:
        return None
    return {**twin(made), "strategy": "random" if made["strategy"] == "entropy" else "entropy"}


def empty_target(chance: Random, made: Json) -> None:
    """The generated track all mask; where the sequence has a chain break, in one step."""
    track, sequence, n = made["track"], made["inputs"]["sequence"], length(made)
    made["inputs"][track] = empty(track, n)
    if track == "structure":
        made["condition_on_coordinates_only"] = False
    if track != "sequence" and sequence is not None and chance.random() < 0.3:
        sequence[chance.randrange(1, n - 1)] = chance.choice([31, 3])
        made["num_steps"] = 1
    made["num_steps"] = min(made["num_steps"], waits(made))


def no_target(chance: Random, made: Json) -> Json | None:
    track, inputs, n = made["track"], made["inputs"], length(made)
    if inputs[track] != empty(track, n) or (track == "structure" and discards(made)):
        return None
    if sum(given is not None for given in inputs.values()) <= 1:
        return None
    other = twin(made)
    other["inputs"][track] = None
    sequence = [] if track == "sequence" or inputs["sequence"] is None else inputs["sequence"]
    plain = not any(token in SPECIAL for token in sequence[1:-1]) and tuple(sequence[:1] + sequence[-1:]) in (
        (),
        (0, 2),
    )
    return other if waits(other) and (plain or made["num_steps"] == 1) else None


def idle(chance: Random, made: Json) -> None:
    if made["inputs"]["coordinates"] is not None and made["inputs"]["structure"] is not None:
        made["inputs"][
            "coordinates" if made["track"] == "structure" else chance.choice(["coordinates", "structure"])
        ] = None


def other_flag(chance: Random, made: Json) -> Json | None:
    if made["inputs"]["coordinates"] is not None and made["inputs"]["structure"] is not None:
        return None
    return {**twin(made), "condition_on_coordinates_only": not made["condition_on_coordinates_only"]}


def by_counts(chance: Random, made: Json) -> Json | None:
    """Another schedule or number of steps, by which as many positions are unmasked in each round that unmasks any."""
    if made["temperature"] != 0 or made["temperature_annealing"] or made["track"] == "function":
        return None
    waiting, mine = waits(made), _rounds(made["schedule"], steps(made), waits(made))
    ways = [(schedule, k) for schedule in ("cosine", "linear") for k in range(1, waiting + 1)]
    ways = [way for way in ways if way != (made["schedule"], steps(made)) and _rounds(*way, waiting) == mine]
    if made["inputs"][made["track"]] is None or discards(made) or mine is None or not ways:
        return None
    schedule, k = chance.choice(ways)
    return {**twin(made), "schedule": schedule, "num_steps": k}


def _rounds(schedule: str, k: int, waiting: int) -> list[int] | None:
    left, rounds = waiting, []
    for i in range(1, k + 1):
        part = math.cos(math.pi / 2 * i / k) if schedule == "cosine" else 1 - i / k
        exact = part * waiting + 0.1
        if abs(exact - round(exact)) < 0.002:
            return None
        rounds.append(left - int(exact))
        left = int(exact)
    return [count for count in rounds if count]


def few_masks(chance: Random, made: Json) -> None:
    """No more masks than three, where schedules often agree."""
    track = made["track"]
    if track == "function":
        return
    made.update(temperature=0.0, temperature_annealing=False)
    if track == "structure":
        made["condition_on_coordinates_only"] = False
    given = made["inputs"][track]
    masked = [i for i in range(1, len(given) - 1) if given[i] == MASK[track]]
    for i in masked[3:]:
        given[i] = token(chance, track)
    made["num_steps"] = chance.randint(2, waits(made))


OPTIONAL: Mapping[str, Move] = {"unmask_counts": Move(few_masks, by_counts, BUT_FUNCTION)}
MOVES: Mapping[str, Move] = {
    "discarded_structure": Move(alone, other_structure),
    "structure_minus_one": Move(give_masked_structure, minus_one, BUT_STRUCTURE),
    "overwritten_structure": Move(give_breaks, overwritten, BUT_STRUCTURE),
    "backbone": Move(give_coordinates, side_chains),
    "unknown_coordinates": Move(give_unknown, no_coordinates),
    "annotation_pairs": Move(give_annotations, swapped),
    "empty_annotations": Move(give_zeros, no_annotations),
    "empty_conditioning": Move(give_empty, no_empty),
    "foreign_invalid_ids": Move(lambda chance, made: None, foreign, BUT_FUNCTION),
    "function_invalid_ids": Move(lambda chance, made: None, any_ids, ("function",)),
    "spare_steps": Move(all_steps, more_steps),
    "one_step_schedule": Move(one_step, other_schedule),
    "one_step_strategy": Move(one_step, other_strategy),
    "empty_generated": Move(empty_target, no_target),
    "idle_coordinates_flag": Move(idle, other_flag),
}
"""By the name of the rule that has to see that both sides are one."""
