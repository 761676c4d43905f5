"""Two requests that the sampler cannot tell apart get the same generated track; two that it can get different ones."""

from typing import Any

import pytest

MASKS = [32] * 40
SEQUENCE = [0, 5, 6, *MASKS, 7, 2]
N = len(SEQUENCE)
PLAIN = {"sequence": SEQUENCE}
ATOMS = [[[1.0, 2.0, 3.0]] * 37] * N
TOKENS = [4098, *[9] * (N - 2), 4097]
EQUAL: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("more steps than masks", {"num_steps": 40}, {"num_steps": 100}),
    ("pace of one step", {"num_steps": 1, "schedule": "cosine"}, {"num_steps": 1, "schedule": "linear"}),
    ("order of one step", {"num_steps": 1, "strategy": "random"}, {"num_steps": 1, "strategy": "entropy"}),
    ("bans repeated or out of order", {"invalid_ids": [5, 4]}, {"invalid_ids": [4, 5, 5, 0, 99, -1]}),
    ("numbers spelled otherwise", {"temperature": 0, "top_p": 1}, {"temperature": -0.0, "top_p": 1.0}),
    ("a blank condition", {}, {"inputs": {**PLAIN, "sasa": [0] * N}}),
    ("a blank function", {}, {"inputs": {**PLAIN, "function": [[0] * 8] * N}}),
    ("zeros as annotations", {}, {"inputs": {**PLAIN, "residue_annotation": [[0] * 3] * N}}),
    (
        "structure tokens that coordinates discard",
        {"inputs": {**PLAIN, "coordinates": ATOMS}},
        {"inputs": {**PLAIN, "coordinates": ATOMS, "structure": TOKENS}},
    ),
    (
        "structure tokens at both ends",
        {"inputs": {**PLAIN, "structure": TOKENS}},
        {"inputs": {**PLAIN, "structure": [7, *TOKENS[1:-1], 7]}},
    ),
    ("the flag", {}, {"potential_sequence_of_concern": True}),
]
DIFFERENT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("another model", {}, {"model": "esm3-private"}),
    ("another sequence", {}, {"inputs": {"sequence": [0, 5, 5, *SEQUENCE[3:]]}}),
    ("a condition", {}, {"inputs": {**PLAIN, "sasa": [0, 3, *[0] * (N - 2)]}}),
    ("a condition's first slot", {}, {"inputs": {**PLAIN, "sasa": [3, *[0] * (N - 1)]}}),
    ("an annotation", {}, {"inputs": {**PLAIN, "residue_annotation": [[0], [9], *[[0]] * (N - 2)]}}),
    ("coordinates", {}, {"inputs": {**PLAIN, "coordinates": ATOMS}}),
    ("a ban", {}, {"invalid_ids": [4]}),
    ("top_p, even at temperature 0", {}, {"top_p": 0.9}),
    ("steps", {"num_steps": 3}, {"num_steps": 4}),
    ("pace", {"schedule": "cosine"}, {"schedule": "linear"}),
    (
        "structure tokens kept beside coordinates",
        {"inputs": {**PLAIN, "coordinates": ATOMS}},
        {
            "inputs": {**PLAIN, "coordinates": ATOMS, "structure": TOKENS},
            "condition_on_coordinates_only": False,
        },
    ),
]


def tokens_of(play: Any, request: Any) -> Any:
    return play(lambda upstream: upstream.outputs(request))[request["track"]]


@pytest.mark.parametrize(("why", "one", "other"), EQUAL, ids=[row[0] for row in EQUAL])
def test_the_sampler_does_not_see(play: Any, request_for: Any, why: str, one: Any, other: Any) -> None:
    request = request_for("sequence", PLAIN)
    assert tokens_of(play, {**request, **one}) == tokens_of(play, {**request, **other})


@pytest.mark.parametrize(("why", "one", "other"), DIFFERENT, ids=[row[0] for row in DIFFERENT])
def test_the_sampler_sees(play: Any, request_for: Any, why: str, one: Any, other: Any) -> None:
    request = request_for("sequence", PLAIN)
    assert tokens_of(play, {**request, **one}) != tokens_of(play, {**request, **other})


def test_a_chain_break_makes_an_absent_track_another_than_a_masked_one(play: Any, request_for: Any) -> None:
    broken = {"sequence": [0, *[5] * 20, 31, *[5] * 20, 2]}
    absent = request_for("sasa", broken)
    masked = request_for("sasa", {**broken, "sasa": [0] * 43})
    assert tokens_of(play, absent) != tokens_of(play, masked)


def test_the_temperature_matters_to_the_function_track_though_nothing_is_drawn(play: Any, request_for: Any) -> None:
    cold, warm = (request_for("function", {**PLAIN, "function": [[0] * 8] * N}, temperature=t) for t in (0.1, 0.9))
    assert tokens_of(play, cold) == tokens_of(play, cold)
    assert tokens_of(play, cold) != tokens_of(play, warm)
