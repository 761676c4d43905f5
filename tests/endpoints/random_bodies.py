"""Random bodies of the right form for the endpoints that take a protein, many of which would crash the sampler."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from gateway.core import tracks
from tests.endpoints.examples import COORDINATES, ESM3, NULLS, TOKENS, Json

RESIDUES = 6
WORDS = ["<pad>", "<motif>", "<unk>", "<mask>", "<0-0.8>", "<0.8-4.0>", "<151.4-inf>", "<4-9>"]
LABELS = ["IPR000001", "Kringle (IPR000001)", "hydrolase", "Active site"]


def body(name: str, dice: Random) -> Json:
    """One body of this endpoint."""
    return {"model": ESM3, **MAKERS[name](dice)}


def _letters(dice: Random) -> Json:
    sequence = _text(dice, ["ACDEFG", "_" * 3 + "ACD", "acdefg", "|||", "AJ_.-x"])
    states = _text(dice, ["GHITEBSC", "HE_", "____", "HEX", "he|-"])
    areas = [None, 0, 1.5, 200.0, *WORDS] if dice.random() < 0.6 else [1.0]
    made = {
        "sequence": sequence,
        "secondary_structure": states,
        "sasa": dice.choices(areas, k=RESIDUES),
        "coordinates": dice.choice([COORDINATES, [NULLS] * RESIDUES]),
        "function": dice.choice([[], [[dice.choice(LABELS), dice.randint(0, 7), dice.randint(0, 7)]]]),
    }
    return _some(made, dice)


def _tokens(dice: Random) -> Json:
    made: Json = {name: TOKENS[name] for name in ("coordinates", "residue_annotation")}
    for name in tracks.GENERATED:
        track = tracks.TRACKS[name]
        masked = dice.random() < 0.5
        ids: list[Any] = [dice.choice((track.mask if masked else 5, 4, 7)) for _ in TOKENS[name]]
        made[name] = ids if track.depth is None else [[number] * track.depth for number in ids]
    made["sequence"] = dice.choice([made["sequence"], [0, 31, 3, 1, 3, 31, 31, 2]])
    return _some(made, dice)


def _generation(dice: Random, inputs: Json) -> Json:
    given = {
        "num_steps": dice.randint(1, 9),
        "temperature": dice.choice([0, 0.5, 1.0, 1e-40, 1e-30, 1e19, 1e38, 1e39]),
        "temperature_annealing": dice.random() < 0.5,
        "strategy": dice.choice(["random", "entropy"]),
        "condition_on_coordinates_only": dice.random() < 0.5,
        "invalid_ids": dice.choice([[], [5], _all_ids(dice)]),
    }
    return {"track": dice.choice(tracks.GENERATED), "inputs": inputs, **_some(given, dice)}


def _forward(dice: Random) -> Json:
    sampled = {name: dice.choice([None, _track(dice)]) for name in tracks.GENERATED}
    return {"inputs": _tokens(dice), "sampling_config": _some(sampled, dice)}


def _track(dice: Random) -> Json:
    made = {
        "temperature": dice.choice([0, 1.0, 1e-40, 1e39]),
        "invalid_ids": dice.choice([None, [], _all_ids(dice)]),
        "only_sample_masked_tokens": dice.random() < 0.5,
        "topk_logprobs": dice.choice([0, 3]),
    }
    return _some(made, dice)


def _inverse_fold(dice: Random) -> Json:
    config = _some({"invalid_ids": _all_ids(dice), "temperature": dice.choice([0, 1.0])}, dice)
    return {"coordinates": COORDINATES, "inverse_folding_config": config}


def _all_ids(dice: Random) -> list[int]:
    return list(dice.choice([range(3, 19), range(3, 11), range(4, 31), range(4, 24), range(4096), range(4101)]))


def _text(dice: Random, alphabets: list[str]) -> str:
    return "".join(dice.choices(dice.choice(alphabets), k=RESIDUES))


def _some(made: Json, dice: Random) -> Json:
    """Some of the members, one at least."""
    share = dice.random()
    kept = {name: value for name, value in made.items() if dice.random() < share}
    return kept or dict([dice.choice(list(made.items()))])


MAKERS: Mapping[str, Callable[[Random], Json]] = {
    "encode": lambda dice: {"inputs": _letters(dice)},
    "generate": lambda dice: _generation(dice, _letters(dice)),
    "generate_tensor": lambda dice: _generation(dice, _tokens(dice)),
    "forward_and_sample": _forward,
    "logits": lambda dice: {"inputs": _tokens(dice)},
    "decode": lambda dice: {"inputs": _tokens(dice)},
    "inverse_fold": _inverse_fold,
}
