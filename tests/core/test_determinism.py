"""Every row of the measured table: which shapes of a request the published sampler repeats, and which it does not."""

import re
from itertools import product

import pytest

from gateway.core.determinism import classify, conditions
from gateway.core.types import DeterminismClass

EXACT, PINNED, SAMPLED = DeterminismClass.EXACT, DeterminismClass.PINNED, DeterminismClass.SAMPLED
ORDINARY = ("sequence", "structure", "secondary_structure", "sasa")
STRATEGIES, SWITCH, TEMPERATURES, STEPS = ("random", "entropy"), (False, True), (0.0, 1e-6, 0.5, 1.0), (1, 2, 8, 100)

# (strategy, steps, annealing): class at temperature 0, class above it
TABLE = {
    ("entropy", 1, False): (EXACT, SAMPLED),
    ("entropy", 2, False): (EXACT, SAMPLED),
    ("entropy", 8, False): (EXACT, SAMPLED),
    ("entropy", 100, False): (EXACT, SAMPLED),
    ("random", 1, False): (EXACT, SAMPLED),
    ("random", 2, False): (PINNED, SAMPLED),
    ("random", 8, False): (PINNED, SAMPLED),
    ("random", 100, False): (PINNED, SAMPLED),
    # Annealing draws at 1e-6: exact ties in bfloat16 fall by chance.
    ("entropy", 1, True): (PINNED, SAMPLED),
    ("entropy", 2, True): (PINNED, SAMPLED),
    ("entropy", 8, True): (PINNED, SAMPLED),
    ("entropy", 100, True): (PINNED, SAMPLED),
    ("random", 1, True): (PINNED, SAMPLED),
    ("random", 2, True): (PINNED, SAMPLED),
    ("random", 8, True): (PINNED, SAMPLED),
    ("random", 100, True): (PINNED, SAMPLED),
}
# The function track takes the arg max at every temperature, so only the order of unmasking can differ.
FUNCTION_TABLE = {
    ("entropy", 1): (EXACT, EXACT),
    ("entropy", 2): (EXACT, EXACT),
    ("entropy", 8): (EXACT, EXACT),
    ("entropy", 100): (EXACT, EXACT),
    ("random", 1): (EXACT, EXACT),
    ("random", 2): (PINNED, SAMPLED),
    ("random", 8): (PINNED, SAMPLED),
    ("random", 100): (PINNED, SAMPLED),
}


def cell(track: str, temperature: float, annealing: bool, strategy: str, steps: int) -> DeterminismClass:
    return classify(track, temperature, annealing, strategy, steps).cls


@pytest.mark.parametrize("track", ORDINARY)
def test_the_four_ordinary_tracks_follow_the_measured_table(track: str) -> None:
    assert len(TABLE) == len(STRATEGIES) * len(STEPS) * len(SWITCH)
    for (strategy, steps, annealing), (at_zero, above) in TABLE.items():
        assert cell(track, 0.0, annealing, strategy, steps) is at_zero
        for temperature in TEMPERATURES[1:]:
            assert cell(track, temperature, annealing, strategy, steps) is above


@pytest.mark.parametrize("annealing", SWITCH)
def test_the_function_track_follows_its_own_table_whatever_annealing_is(annealing: bool) -> None:
    assert len(FUNCTION_TABLE) == len(STRATEGIES) * len(STEPS)
    for (strategy, steps), (at_zero, above) in FUNCTION_TABLE.items():
        assert cell("function", 0.0, annealing, strategy, steps) is at_zero
        for temperature in TEMPERATURES[1:]:
            assert cell("function", temperature, annealing, strategy, steps) is above


def test_sampled_is_never_said_of_temperature_zero_nor_pinned_above_it() -> None:
    for track, annealing, strategy, steps in product((*ORDINARY, "function"), SWITCH, STRATEGIES, STEPS):
        assert cell(track, 0.0, annealing, strategy, steps) is not SAMPLED
        assert cell(track, 0.5, annealing, strategy, steps) is not PINNED


@pytest.mark.parametrize("track", [*ORDINARY, "function"])
def test_following_the_remedy_makes_the_call_exact(track: str) -> None:
    for temperature, annealing, strategy, steps in product(TEMPERATURES, SWITCH, STRATEGIES, STEPS):
        said = classify(track, temperature, annealing, strategy, steps)
        assert (said.remedy is None) == (said.cls is EXACT)
        changes = dict(re.findall(r'"(\w+)": ("?\w+"?)', said.remedy or ""))
        assert set(changes) <= {"temperature", "temperature_annealing", "strategy"}
        after = classify(
            track,
            0.0 if "temperature" in changes else temperature,
            False if "temperature_annealing" in changes else annealing,
            changes.get("strategy", strategy).strip('"'),
            steps,
        )
        assert after.cls is EXACT


def test_the_reason_names_what_decided() -> None:
    assert "temperature" in classify("sasa", 0.5, False, "entropy", 5).reason
    assert "order" in classify("sasa", 0.0, False, "random", 5).reason
    assert "annealing" in classify("sasa", 0.0, True, "entropy", 5).reason
    assert classify("sasa", 0.0, False, "random", 1).reason == "one step"
    assert "entropy" in classify("sasa", 0.0, False, "entropy", 5).reason
    assert "arg max" in classify("function", 0.7, True, "entropy", 5).reason


@pytest.mark.parametrize("track", [*ORDINARY, "function"])
def test_the_class_is_that_of_the_first_question_which_does_not_hold(track: str) -> None:
    for temperature, annealing, strategy, steps in product(TEMPERATURES, SWITCH, STRATEGIES, STEPS):
        said = classify(track, temperature, annealing, strategy, steps)
        missed = [each for each in conditions(track, temperature, annealing, strategy, steps) if not each.holds]
        if not missed:
            assert (said.cls, said.remedy) == (EXACT, None)
            continue
        assert (said.cls, said.reason) == (missed[0].class_if_not, missed[0].reason)
        assert said.remedy == "set " + ", ".join(each.remedy for each in missed)


def test_every_question_says_why_in_either_case() -> None:
    for track, temperature, annealing, strategy, steps in product(
        (*ORDINARY, "function"), TEMPERATURES, SWITCH, STRATEGIES, STEPS
    ):
        asked = conditions(track, temperature, annealing, strategy, steps)
        assert len({each.name for each in asked}) == len(asked) == (2 if track == "function" else 3)
        assert all(each.question.endswith("?") and each.reason for each in asked)
