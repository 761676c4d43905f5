"""What is known to crash the sampler is refused before the call, in letters as in tokens, by checks with a switch."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import orjson
import pytest

from gateway.core.problems import Problem
from gateway.core.sampler_checks import CHECKS, NAMES, skipped_checks, unknown_checks
from gateway.core.tracks import SASA_WORDS
from gateway.sandbox.answers import ENDPOINTS as ANSWERS
from gateway.sandbox.answers import Asked
from gateway.sandbox.bodies import RefusedError
from tests.endpoints.examples import (
    COORDINATES,
    NULLS,
    RULES,
    TOKENS,
    Json,
    call,
    errors,
    example,
    generation,
    least,
)
from tests.endpoints.random_bodies import MAKERS, body

UNCHECKED = replace(RULES, skipped_checks=NAMES)
FULL = {"sequence": "ACDEFG", "secondary_structure": "HHEECC", "sasa": [1.0] * 5 + ["<unk>"]}
ALL = list(range(4101))


def letters(track: str, **changes: Any) -> Json:
    return {**least("generate", track=track), **changes}


def sampled(track: str, **config: Any) -> Json:
    return least("forward_and_sample", sampling_config={track: config})


# (check, endpoint, a body that it refuses, where)
REFUSED: list[tuple[str, str, Json, str]] = [
    ("nothing_masked", "generate", letters("sequence", inputs={"sequence": "ACDEFG"}), "/inputs/sequence"),
    ("nothing_masked", "generate", letters("sequence", inputs={"sequence": "true"}), "/inputs/sequence"),
    ("nothing_masked", "generate", letters("sasa", inputs=FULL), "/inputs/sasa"),
    ("nothing_masked", "generate", letters("secondary_structure", inputs=FULL), "/inputs/secondary_structure"),
    ("nothing_masked", "generate", letters("sasa", inputs={"sequence": "||||||"}), "/inputs/sequence"),
    ("nothing_masked", "generate", letters("structure", inputs={"sequence": "acdefg"}), "/inputs/sequence"),
    (
        "nothing_masked",
        "generate",
        letters("structure", inputs={"coordinates": [NULLS] * 6}, condition_on_coordinates_only=False),
        "/inputs/coordinates",
    ),
    (
        "nothing_masked",
        "generate",
        letters("function", inputs={"sequence": "ACDEFG", "function": [["Kringle (IPR000001)", 2, 4]]}),
        "/inputs/function",
    ),
    ("nothing_masked", "generate_tensor", generation(inputs={"sequence": [0, 5, 2]}), "/inputs/sequence"),
    ("all_ids_invalid", "generate", letters("sequence", invalid_ids=ALL), "/invalid_ids"),
    ("all_ids_invalid", "generate", letters("sasa", invalid_ids=list(range(3, 19))), "/invalid_ids"),
    ("all_ids_invalid", "generate_tensor", generation(invalid_ids=ALL), "/invalid_ids"),
    (
        "all_ids_invalid",
        "forward_and_sample",
        sampled("structure", invalid_ids=ALL),
        "/sampling_config/structure/invalid_ids",
    ),
    (
        "all_ids_invalid",
        "inverse_fold",
        least("inverse_fold", inverse_folding_config={"invalid_ids": ALL}),
        "/inverse_folding_config/invalid_ids",
    ),
    (
        "function_at_zero",
        "generate",
        letters("function", temperature=0, temperature_annealing=False),
        "/temperature",
    ),
    (
        "function_at_zero",
        "generate_tensor",
        generation("function", temperature=0, temperature_annealing=False),
        "/temperature",
    ),
    (
        "function_at_zero",
        "forward_and_sample",
        sampled("function", temperature=-0.0),
        "/sampling_config/function/temperature",
    ),
    ("steps_above_positions", "generate_tensor", generation(num_steps=9), "/num_steps"),
    ("temperature_range", "generate", letters("sasa", temperature=1e39), "/temperature"),
    ("temperature_range", "generate", letters("sequence", temperature=1e-40), "/temperature"),
    ("temperature_range", "generate", letters("structure", temperature=2e19), "/temperature"),
    ("temperature_range", "generate_tensor", generation(temperature=1e39), "/temperature"),
    (
        "temperature_range",
        "forward_and_sample",
        sampled("sequence", temperature=5e-324),
        "/sampling_config/sequence/temperature",
    ),
    *(
        ("secondary_structure_letters", name, least(name, inputs={"secondary_structure": text}), "/inputs/" + where)
        for name in ("encode", "generate")
        for text, where in (
            ("HHX_", "secondary_structure"),
            ("hhee", "secondary_structure"),
            ("HH|C", "secondary_structure"),
            ("H-._", "secondary_structure"),
        )
    ),
    *(
        ("sasa_words", name, least(name, inputs={"sasa": [None, 1.0, word]}), "/inputs/sasa/2")
        for name in ("encode", "generate")
        for word in ("<mask>", "<4-9.6>", "<151.4-200>", "<0.8>")
    ),
    *(
        ("annotation_outside", name, least(name, inputs={"sequence": "AC_E", "function": [row]}), "/inputs/function/0")
        for name in ("encode", "generate")
        for row in (["IPR000001", 0, 3], ["IPR000001", 2, 5], ["Active site", 3, 2])
    ),
]


@pytest.mark.parametrize(("check", "name", "asked", "where"), REFUSED)
def test_a_check_refuses_by_place_until_it_is_switched_off(check: str, name: str, asked: Json, where: str) -> None:
    assert where in errors(name, asked)
    off = replace(RULES, skipped_checks=frozenset({check}))
    assert where not in errors(name, asked, rules=off)
    assert where in errors(name, asked, rules=replace(RULES, skipped_checks=NAMES - {check}))


def test_each_check_is_seen_to_refuse_on_each_of_its_endpoints() -> None:
    assert {(check, name) for check, name, _, _ in REFUSED} == {
        (check.name, name) for check in CHECKS for name in check.endpoints
    }


@pytest.mark.parametrize(
    "asked",
    [
        letters("sequence", inputs={"sequence": "acd_fg"}),
        letters("sequence", inputs={"sequence": "AJ_.-|"}),
        letters("sequence", inputs={"sequence": "AC_E__"}, num_steps=100),
        letters("sequence", inputs={"secondary_structure": "GHITEBSC_"}),
        letters("sequence", inputs={"sasa": [None, 0, *SASA_WORDS]}),
        letters("sasa", inputs={"sasa": [1.0, "<pad>"]}),
        letters("sasa", inputs={"sequence": "ACDEFG", "sasa": [1.0] * 5 + [None]}),
        letters("structure", inputs={"sequence": "ACDEFG", "coordinates": COORDINATES}),
        letters("structure", inputs={"coordinates": [NULLS] * 6}),
        letters("function", inputs={"sequence": "ACDEFG", "function": []}),
        letters("function", inputs={"sequence": "ACDEFG", "function": [["Active site", 1, 6]]}),
        letters("function", invalid_ids=ALL),
        letters("function", temperature=0),
        letters("sequence", temperature=1e-38, temperature_annealing=False),
        letters("sequence", invalid_ids=[number for number in ALL if number != 30]),
    ],
)
def test_what_the_real_sampler_was_seen_to_take_is_taken(asked: Json) -> None:
    assert errors("generate", asked) == []


@pytest.mark.parametrize("secret", ["MKTAYIAKQR", "HEHEHEX"])
def test_a_refusal_says_the_remedy_and_repeats_nothing(secret: str) -> None:
    with pytest.raises(Problem) as caught:
        call("generate", letters("sequence", inputs={"sequence": secret}))
    (error,) = caught.value.errors
    assert error.detail == "has no masked position (`_`), so nothing can be generated"
    assert secret not in str(caught.value.document("r"))


def crashes(name: str, asked: Any) -> bool:
    """Whether the sandbox's model fails on what would be forwarded."""
    try:
        ANSWERS[name](Asked(asked, {"sequence": "ACDEFG"}))
    except RefusedError as refusal:
        return refusal.status == 500
    return False


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_that_is_forwarded_crashes_the_sandbox(name: str) -> None:
    dice, seen = Random(f"crashes {name}"), Counter[str]()
    for _ in range(1500):
        asked = body(name, dice)
        try:
            made = call(name, asked)
        except Problem:
            unchecked = _unchecked(name, asked)
            seen["refused"] += 1
            seen["would have crashed"] += unchecked is not None and crashes(name, unchecked)
            continue
        seen["forwarded"] += 1
        assert not crashes(name, orjson.loads(made.body)), {k: v for k, v in asked.items() if k != "inputs"}
    checked = any(name in check.endpoints for check in CHECKS)
    assert seen["forwarded"] > 100
    assert not checked or seen["would have crashed"] > 100, seen


def _unchecked(name: str, asked: Json) -> Any:
    try:
        return orjson.loads(call(name, asked, rules=UNCHECKED).body)
    except Problem:
        return None


@pytest.mark.parametrize("name", ["fold", "fold_all_atom", "msa"])
def test_the_examples_of_the_other_endpoints_do_not_crash_it_either(name: str) -> None:
    made = call(name, example(name).body, example(name).query)
    assert not crashes(name, orjson.loads(made.body))


def test_without_the_checks_a_call_without_masks_costs_what_it_may_be() -> None:
    for name, asked in (
        ("generate", letters("sequence", inputs={"sequence": "ACDEFG"}, num_steps=4)),
        ("generate_tensor", generation(inputs={"sequence": [0, *[5] * 6, 2]}, num_steps=4)),
    ):
        made = call(name, asked, rules=UNCHECKED)
        assert (made.units, made.length) == (8 * 4, 8)


def test_switches_are_read_by_name() -> None:
    assert skipped_checks({}) == frozenset()
    assert skipped_checks({"nothing_masked": False, "sasa_words": True}) == {"nothing_masked"}
    assert unknown_checks(["nothing_masked", "nothing", "Sasa_words", ""]) == ["", "Sasa_words", "nothing"]
    assert len(NAMES) == len(CHECKS)


def test_tokens_that_hold_masks_are_left_alone() -> None:
    for track in ("sequence", "structure", "secondary_structure", "sasa", "function"):
        assert errors("generate_tensor", generation(track, inputs={track: TOKENS[track]})) == []
