"""One body with exactly one thing in it changed that matters to the published sampler, so that two answers may differ.

Each change bends the body until the thing matters, and gives the other body; or None where it cannot.
"""

from collections.abc import Callable
from random import Random

from tests.claims.bodies import MASK, ORDINARY, backbones, discards, length, loners, number, steps, token, waits
from tests.claims.moves import give_annotations, give_coordinates, give_structure, twin
from tests.claims.table import TRACKS, Json, empty

Change = Callable[[Random, Json], Json | None]


def conditioning_token(chance: Random, made: Json) -> Json | None:
    """Another token of a conditioning track other than structure, at any position but the ends of the sequence."""
    names = [name for name in TRACKS if name not in ("structure", made["track"]) and made["inputs"][name] is not None]
    if not names:
        return None
    name = chance.choice(names)
    other = twin(made)
    given = other["inputs"][name]
    i = chance.randrange(1, len(given) - 1) if name == "sequence" else chance.randrange(len(given))
    fresh = token(chance, name)
    if given[i] == fresh or (name == "sequence" and given[i] in (0, 1, 2, 31)):
        return None
    given[i] = fresh
    return other


def known_token(chance: Random, made: Json) -> Json | None:
    """Another token where the generated track is not masked."""
    track = made["track"]
    given = made["inputs"][track]
    if given is None or (track == "structure" and discards(made)):
        return None
    known = [i for i in range(1, len(given) - 1) if given[i] not in (MASK[track], -1, 31, 1, 3)]
    if not known:
        return None
    other, i, fresh = twin(made), chance.choice(known), token(chance, track)
    other["inputs"][track][i] = fresh
    return other if fresh != given[i] else None


def one_mask_more(chance: Random, made: Json) -> Json | None:
    track = made["track"]
    given = made["inputs"][track]
    if given is None or (track == "structure" and discards(made)):
        return None
    known = [i for i in range(1, len(given) - 1) if given[i] not in (MASK[track], -1, 31, 1, 3)]
    if len(known) < 2:
        return None
    other = twin(made)
    other["inputs"][track][chance.choice(known)] = MASK[track]
    return other


def structure_token(chance: Random, made: Json) -> Json | None:
    """Another code of a structure that conditions, at a residue."""
    give_structure(chance, made)
    given, sequence = made["inputs"]["structure"], made["inputs"]["sequence"]
    plain = [
        i
        for i in range(1, len(given) - 1)
        if 0 <= given[i] < 4096 and (sequence is None or sequence[i] not in (0, 1, 2, 31))
    ]
    if not plain:
        return None
    other, i = twin(made), chance.choice(plain)
    other["inputs"]["structure"][i] = (given[i] + chance.randint(1, 4095)) % 4096
    return other


def end_slot(chance: Random, made: Json) -> Json | None:
    """Another id at BOS or EOS of secondary structure, surface or function."""
    name = chance.choice(["secondary_structure", "sasa", "function"])
    if made["inputs"][name] is None:
        made["inputs"][name] = empty(name, length(made))
        made["num_steps"] = min(made["num_steps"], waits(made))
    other = twin(made)
    i = chance.choice([0, -1])
    fresh = token(chance, name)
    if made["inputs"][name][i] == fresh:
        return None
    other["inputs"][name][i] = fresh
    return other


def annotation(chance: Random, made: Json) -> Json | None:
    """One id another, one less, or three in another order."""
    give_annotations(chance, made)
    rows = made["inputs"]["residue_annotation"]
    other = twin(made)
    three = chance.choice([i for i, row in enumerate(rows) if len(row) == 3])
    row = other["inputs"]["residue_annotation"][three]
    way = chance.randrange(3)
    if way == 0:
        row[chance.randrange(3)] = chance.choice([t for t in range(4, 1478) if t not in row])
    elif way == 1:
        del row[chance.randrange(3)]
    else:
        i, j = chance.sample(range(3), 2)
        row[i], row[j] = row[j], row[i]
    return other


def backbone_atom(chance: Random, made: Json) -> Json | None:
    """A backbone atom elsewhere, or a coordinate of it unknown, where there is a backbone."""
    give_coordinates(chance, made)
    other, i = twin(made), chance.choice(backbones(made))
    atom, axis = chance.randrange(3), chance.randrange(3)
    fresh = chance.choice([None, number(chance)])
    other["inputs"]["coordinates"][i][atom][axis] = fresh
    return other if fresh != made["inputs"]["coordinates"][i][atom][axis] else None


def lone_atom(chance: Random, made: Json) -> Json | None:
    """A residue with one known atom, or with none."""
    give_coordinates(chance, made)
    lone = loners(made)
    if not lone:
        return None
    other, i = twin(made), chance.choice(lone)
    other["inputs"]["coordinates"][i] = [[None] * 3 for _ in other["inputs"]["coordinates"][i]]
    return other


def unknown_beside_structure(chance: Random, made: Json) -> Json | None:
    """Unknown coordinates discard the structure, where they alone condition; none do not."""
    if made["track"] == "structure":
        return None
    give_structure(chance, made)
    made["inputs"]["structure"][2] = 77
    made["inputs"]["coordinates"], made["condition_on_coordinates_only"] = None, True
    if made["inputs"]["sequence"] is not None:
        made["inputs"]["sequence"][2] = 9
    if waits(made) == 0:
        return None
    made["num_steps"] = min(made["num_steps"], waits(made))
    other = twin(made)
    other["inputs"]["coordinates"] = [[[None] * 3] * 3 for _ in range(length(made))]
    return other


def flag(chance: Random, made: Json) -> Json | None:
    """Whether coordinates alone condition, with structure tokens beside them that say something."""
    if made["track"] == "structure":
        return None
    give_coordinates(chance, made)
    give_structure(chance, made)
    made["inputs"]["structure"][2] = 77
    if made["inputs"]["sequence"] is not None:
        made["inputs"]["sequence"][2] = 9
    if waits(made) == 0:
        return None
    made["num_steps"] = min(made["num_steps"], waits(made))
    return {**twin(made), "condition_on_coordinates_only": not made["condition_on_coordinates_only"]}


def parameter(chance: Random, made: Json) -> Json | None:
    name = chance.choice(["top_p", "temperature", "temperature_annealing", "potential_sequence_of_concern", "model"])
    fresh = {
        "top_p": chance.uniform(0.1, 0.8),
        "temperature": chance.uniform(0.6, 2),
        "temperature_annealing": not made["temperature_annealing"],
        "potential_sequence_of_concern": not made["potential_sequence_of_concern"],
        "model": "esmc-300m-2024-12",
    }
    return {**twin(made), name: fresh[name]}


def fewer_steps(chance: Random, made: Json) -> Json | None:
    counted = waits(made)
    if counted < 2:
        return None
    one, two = chance.sample(range(1, counted + 1), 2)
    made["num_steps"] = one
    return {**twin(made), "num_steps": two}


def order_of_steps(chance: Random, made: Json) -> Json | None:
    """Schedule or strategy where there are two steps or more."""
    if waits(made) < 2:
        return None
    made["num_steps"] = max(2, steps(made))
    if chance.random() < 0.5:
        return {**twin(made), "schedule": "linear" if made["schedule"] == "cosine" else "cosine"}
    return {**twin(made), "strategy": "random" if made["strategy"] == "entropy" else "entropy"}


def banned_id(chance: Random, made: Json) -> Json | None:
    if made["track"] == "function":
        return None
    free = [i for i in ORDINARY[made["track"]] if i not in made["invalid_ids"]]
    if len(free) < 3:
        return None
    return {**twin(made), "invalid_ids": sorted([*made["invalid_ids"], chance.choice(free)])}


def target_beside_a_break(chance: Random, made: Json) -> Json | None:
    """The generated track all mask or absent, with a special id inside the sequence and two steps or more."""
    track, n = made["track"], length(made)
    if track == "sequence" or n < 6:
        return None
    made["inputs"]["sequence"] = [0, 31, *(token(chance, "sequence") for _ in range(n - 3)), 2]
    made["inputs"]["sequence"][chance.randrange(2, n - 1)] = chance.choice([31, 3, 1, 9])
    made["inputs"][track] = empty(track, n)
    if track == "structure":
        made["condition_on_coordinates_only"] = False
    made["num_steps"] = chance.randint(2, n - 4)
    other = twin(made)
    other["inputs"][track] = None
    return other


def another_length(chance: Random, made: Json) -> Json | None:
    """Nothing but the number of positions."""
    n, name = length(made), chance.choice(TRACKS)
    for track in made["inputs"]:
        made["inputs"][track] = None
    made["num_steps"] = 1
    other = twin(made)
    made["inputs"][name], other["inputs"][name] = empty(name, n), empty(name, n + chance.choice([1, 2]))
    return other


def a_track_less(chance: Random, made: Json) -> Json | None:
    """A conditioning track that says something, or none."""
    names = [name for name in TRACKS if name not in ("structure", made["track"]) and made["inputs"][name] is not None]
    names = [name for name in names if made["inputs"][name] != empty(name, length(made))]
    if not names or made["inputs"][made["track"]] is None:
        return None
    other = twin(made)
    other["inputs"][chance.choice(names)] = None
    return other


CHANGES: tuple[Change, ...] = (
    conditioning_token,
    known_token,
    one_mask_more,
    structure_token,
    end_slot,
    annotation,
    backbone_atom,
    lone_atom,
    unknown_beside_structure,
    flag,
    parameter,
    fewer_steps,
    order_of_steps,
    banned_id,
    target_beside_a_break,
    another_length,
    a_track_less,
)
