"""The sandbox behaves as the sampler was measured to: same answers where it repeats itself, fresh draws elsewhere."""

import asyncio
from typing import Any

import pytest

from gateway.core.tracks import GENERATED, TRACKS

LONG = 66


def masked(track: str) -> dict[str, Any]:
    """A sequence, and the generated track all masked, long enough that two draws never agree by luck."""
    row = TRACKS[track]
    sequence = [0, *[5] * (LONG - 2), 2]
    if row.depth is not None:
        return {"sequence": sequence, track: [[0] * row.depth] * LONG}
    return {"sequence": sequence, track: [row.bos, *[row.mask] * (LONG - 2), row.eos]}


def repeats(play: Any, request: dict[str, Any]) -> bool:
    async def scenario(upstream: Any) -> bool:
        first, second = await asyncio.gather(upstream.outputs(request), upstream.outputs(request))
        return bool(first == second)

    return bool(play(scenario))


# Rows: parameters, and on which tracks the sampler was seen to answer identically (measured at float32).
TOKENS = ("sequence", "structure", "secondary_structure", "sasa")
CELLS = [
    ({"strategy": "entropy", "num_steps": 8, "temperature": 0, "temperature_annealing": False}, TOKENS),
    ({"strategy": "random", "num_steps": 1, "temperature": 0, "temperature_annealing": False}, TOKENS),
    ({"strategy": "random", "num_steps": 2, "temperature": 0, "temperature_annealing": False}, ()),
    ({"strategy": "entropy", "num_steps": 8, "temperature": 0, "temperature_annealing": True}, ("function",)),
    ({"strategy": "random", "num_steps": 8, "temperature": 0, "temperature_annealing": True}, ()),
    ({"strategy": "entropy", "num_steps": 8, "temperature": 0.5, "temperature_annealing": False}, ("function",)),
    ({"strategy": "random", "num_steps": 8, "temperature": 1, "temperature_annealing": True}, ()),
]


@pytest.mark.parametrize("track", GENERATED)
@pytest.mark.parametrize(("params", "where"), CELLS)
def test_an_answer_repeats_itself_only_where_the_sampler_does(
    play: Any, request_for: Any, track: str, params: dict[str, Any], where: tuple[str, ...]
) -> None:
    if track == "function" and params["temperature"] == 0 and not params["temperature_annealing"]:
        params = {**params, "temperature_annealing": True}
        where = ("function",) if params["strategy"] == "entropy" or params["num_steps"] == 1 else ()
    assert repeats(play, request_for(track, masked(track), **params)) == (track in where)


@pytest.mark.parametrize("track", GENERATED)
@pytest.mark.parametrize("strategy", ["entropy", "random"])
def test_masks_are_filled_with_ordinary_ids_and_all_else_is_kept(
    play: Any, request_for: Any, track: str, strategy: str
) -> None:
    request = request_for(track, strategy=strategy)
    given = request["inputs"][track]
    outputs = play(lambda upstream: upstream.outputs(request))
    kept = [i for i in range(8) if i not in (2, 3, 5, 6)]
    assert [outputs[track][i] for i in kept] == [given[i] for i in kept]
    for i in (2, 3, 5, 6):
        drawn = outputs[track][i]
        assert all(token in TRACKS[track].ordinary for token in (drawn if track == "function" else [drawn]))
    others = {name for name in request["inputs"] if name not in (track, "residue_annotation")}
    assert {name: outputs[name] for name in others} == {name: request["inputs"][name] for name in others}
    assert outputs["residue_annotation"] == [[0] * 16] * 8


@pytest.mark.parametrize("track", GENERATED)
def test_an_absent_track_is_generated_whole_between_its_ends(play: Any, request_for: Any, track: str) -> None:
    conditioning = "sasa" if track == "sequence" else "sequence"
    request = request_for(track, {conditioning: masked(conditioning)[conditioning]}, strategy="random")
    tokens = play(lambda upstream: upstream.outputs(request))[track]
    row = TRACKS[track]
    assert len(tokens) == LONG
    if row.depth is None:
        assert (tokens[0], tokens[-1]) == (row.bos, row.eos)
        assert all(token in row.ordinary for token in tokens[1:-1])
    else:
        assert tokens[0] == tokens[-1] == [0] * 8
        assert all(len(position) == 8 and min(position) >= 3 for position in tokens[1:-1])


@pytest.mark.parametrize("track", TOKENS)
def test_banned_ids_are_never_drawn(play: Any, request_for: Any, track: str) -> None:
    last = TRACKS[track].ordinary[-1]
    banned = [token for token in TRACKS[track].ordinary if token != last]
    request = request_for(track, masked(track), invalid_ids=banned)
    assert set(play(lambda upstream: upstream.outputs(request))[track][1:-1]) == {last}


def test_banned_ids_mean_nothing_on_the_function_track(play: Any, request_for: Any) -> None:
    request = request_for("function", invalid_ids=list(range(260)))
    plain = request_for("function")

    async def scenario(upstream: Any) -> None:
        assert await upstream.outputs(request) == await upstream.outputs(plain)

    play(scenario)


def test_coordinates_discard_given_structure_tokens(play: Any, request_for: Any) -> None:
    given: dict[str, Any] = {"structure": [4098, 1, 2, 3, 4, 5, 6, 4097], "coordinates": [[[1.0, 2.0, 3.0]] * 37] * 8}

    async def scenario(upstream: Any) -> None:
        outputs = await upstream.outputs(request_for("structure", given))
        assert outputs["structure"][1:-1] != given["structure"][1:-1]
        kept = await upstream.post(
            "generate_tensor", request_for("structure", given, condition_on_coordinates_only=False)
        )
        assert (kept.status, kept.json) == (500, {"error": "Cannot sample structure: no masks"})

    play(scenario)


PARTS = {"sequence": [0, 5, 32, 32, 7, 32, 32, 2]}
ROWS = [[0] * 16, [3, 4, *[0] * 14], *[[0] * 16] * 6]
CRASHES = [
    ("an id above the table", "sequence", {"sequence": [0, 33, 32, 2]}, {}),
    ("an id below the table", "sasa", {**PARTS, "sasa": [0, -1, 0, 0, 0, 0, 0, 0]}, {}),
    ("a condition's id above its table", "sequence", {**PARTS, "structure": [4098, *[4101] * 6, 4097]}, {}),
    ("an annotation above its table", "sequence", {**PARTS, "residue_annotation": [[1478]] * 8}, {}),
    ("a truth value among ids", "sequence", {"sequence": [0, True, 32, 2]}, {}),
    ("a function position of seven", "sequence", {**PARTS, "function": [[0] * 7] * 8}, {}),
    ("ragged annotations", "sequence", {**PARTS, "residue_annotation": [[3], *[[3, 4]] * 7]}, {}),
    ("other lengths", "sequence", {**PARTS, "sasa": [0, 3, 0]}, {}),
    ("two atoms a residue", "sequence", {**PARTS, "coordinates": [[[0.0] * 3] * 2] * 8}, {}),
    ("no masks", "sequence", {"sequence": [32, 5, 6, 32]}, {}),
    ("no masks on a discarded condition", "sasa", {**PARTS, "sasa": [0, 3, 3, 3, 3, 3, 3, 0]}, {}),
    ("nothing left to draw", "sasa", PARTS, {"invalid_ids": list(range(3, 19))}),
    ("a track that cannot be sampled", "residue_annotation", {**PARTS, "residue_annotation": ROWS}, {}),
    ("a division by zero", "function", PARTS, {"temperature_annealing": False}),
    ("a temperature that overflows", "sequence", PARTS, {"temperature": 1e39}),
    ("a temperature that underflows", "sequence", PARTS, {"temperature": 1e-40}),
]


@pytest.mark.parametrize(("why", "track", "inputs", "params"), CRASHES, ids=[row[0] for row in CRASHES])
def test_what_crashes_the_sampler_is_an_internal_error_that_costs_nothing(
    play: Any, request_for: Any, why: str, track: str, inputs: Any, params: Any
) -> None:
    async def scenario(upstream: Any) -> None:
        reply = await upstream.post("generate_tensor", request_for(track, inputs, **params))
        assert (reply.status, reply.headers["Content-Type"]) == (500, "application/json")
        assert list(reply.json) == ["error"]
        assert (await upstream.calls())["units"] == 0

    play(scenario)


@pytest.mark.parametrize(
    "wrong",
    [
        {"schedule": "quadratic"},
        {"strategy": "greedy"},
        {"num_steps": 0},
        {"num_steps": 2.0},
        {"num_steps": 101},
        {"temperature": -1},
        {"top_p": 0},
        {"invalid_ids": ["5"]},
        {"inputs": []},
        {"inputs": {}},
        {"model": None},
    ],
    ids=str,
)
def test_a_request_of_the_wrong_form_is_unprocessable(play: Any, request_for: Any, wrong: Any) -> None:
    async def scenario(upstream: Any) -> None:
        reply = await upstream.post("generate_tensor", {**request_for(), **wrong})
        assert (reply.status, list(reply.json)) == (422, ["error"])

    play(scenario)


def test_a_body_that_is_not_json_is_a_bad_request(play: Any) -> None:
    reply = play(lambda upstream: upstream.post("generate_tensor", b"{"))
    assert (reply.status, reply.json) == (400, {"error": "the body is not JSON"})
