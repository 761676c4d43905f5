"""An answer can carry the digest of its question: equal for equal meanings, different for different ones."""

from typing import Any

import pytest

from gateway.sandbox.question import digest

BODY: dict[str, Any] = {
    "model": "m",
    "track": "sequence",
    "num_steps": 1,
    "temperature": 0,
    "invalid_ids": [7, 5],
    "inputs": {
        "sequence": [0, 32, 5, 2],
        "coordinates": [[[None] * 3] * 3, [[0.1, 2, 3]] * 3, [[4, 5, 6]] * 3, [[None] * 3] * 3],
        "residue_annotation": [[0], [9, 0], [0], [0]],
    },
}
ATOM = 0.10000000149011612  # 0.1 as a float32


def edited(inputs: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return {**BODY, **members, "inputs": {**BODY["inputs"], **(inputs or {})}}


@pytest.mark.parametrize(
    "same",
    [
        dict(reversed(BODY.items())),
        edited(temperature=-0.0, num_steps=1.0, invalid_ids=[5, 7, 5], top_p=None),
        edited(top_p=1, schedule="cosine", strategy="random", potential_sequence_of_concern=False),
        edited({"sasa": None, "residue_annotation": [[], [0, 9], [0, 0], []]}),
        edited({"coordinates": [[[None] * 3] * 3, [[ATOM, 2.0, 3]] * 3, [[4, 5, 6.0]] * 3, [[None] * 3] * 3]}),
    ],
)
def test_spelling_does_not_change_a_question(same: dict[str, Any]) -> None:
    assert digest(same) == digest(BODY)


@pytest.mark.parametrize(
    "other",
    [
        edited(model="n"),
        edited(temperature=1e38),
        edited(temperature=1e-9),
        edited(invalid_ids=[5]),
        edited(top_p=0.5),
        edited(schedule="linear"),
        edited(potential_sequence_of_concern=True),
        edited({"sequence": [0, 5, 32, 2]}),
        edited({"sasa": [0, 0, 0, 0]}),
        edited({"residue_annotation": [[9], [0], [0], [0]]}),
        edited({"coordinates": None}),
        edited({"coordinates": [[[None] * 3] * 3, [[0.1001, 2, 3]] * 3, [[4, 5, 6]] * 3, [[None] * 3] * 3]}),
    ],
)
def test_whatever_matters_changes_a_question(other: dict[str, Any]) -> None:
    assert digest(other) != digest(BODY)


def test_an_answer_carries_it_where_that_is_asked_for_and_nowhere_else(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        reply = await upstream.post("generate_tensor", request_for())
        assert reply.json.get("question") == expected

    expected: int | None = digest(request_for())
    play(scenario, tells_question=True)
    expected = None
    play(scenario)


def test_the_record_says_when_a_call_began_and_ended(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        for _ in range(2):
            await upstream.post("generate_tensor", request_for())
        one, two = (await upstream.calls())["last"]
        assert one["began"] <= one["ended"] <= two["began"] <= two["ended"]

    play(scenario)


def test_a_lenient_upstream_reads_whole_numbers_and_null_as_a_lax_reader_would(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        reply = await upstream.post("generate_tensor", {**request_for(), "num_steps": 1.0, "schedule": None})
        assert reply.status == expected

    expected = 422
    play(scenario)
    expected = 200
    play(scenario, is_lenient=True)
