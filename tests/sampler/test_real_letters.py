"""What the gateway refuses of `generate` in letters crashes the published encoder or sampler, and nothing else does."""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tests.sampler import tiny

Case = dict[str, Any]


@cache
def played() -> tuple[tuple[Case, str], ...]:
    """Each body with what the sampler raised, or nothing."""
    torch.set_num_threads(1)
    model = tiny.model()
    cases = [json.loads(line) for line in Path(os.environ["SAMPLER_LETTERS"]).read_text().splitlines()]
    return tuple((case, tiny.failure(model, case["body"])) for case in cases)


def is_known_exception(body: Case) -> bool:
    """Three calls that are refused although this sampler gets through: next to nothing as a temperature, which
    annealing lifts; infinity as one, on the function track; an absent track beside a sequence of unknown letters, if
    one step fills everything, or if the function ids that are drawn are those of the mask."""
    temperature = body.get("temperature", 0.5)
    lifted = 0 < temperature < 1e-38 and body.get("temperature_annealing", True)
    infinite = temperature > 1e38 and body["track"] == "function"
    member = "coordinates" if body["track"] == "structure" else body["track"]
    absent = body["inputs"].get(member) is None or body["track"] == "structure"
    return lifted or infinite or (absent and (body.get("num_steps") == 1 or body["track"] == "function"))


def test_what_is_forwarded_does_not_crash() -> None:
    assert [case["body"]["track"] for case, failure in played() if failure and not case["refused"]] == []


def test_what_is_refused_does_crash() -> None:
    through = [case for case, failure in played() if case["refused"] and not failure]
    assert [case["refused"] for case in through if not is_known_exception(case["body"])] == []


def test_both_were_seen_on_every_track() -> None:
    def tracks(refused: bool) -> Iterator[str]:
        return (case["body"]["track"] for case, _ in played() if bool(case["refused"]) == refused)

    assert set(tracks(True)) == set(tracks(False)) == set(tiny.TRACKS)
