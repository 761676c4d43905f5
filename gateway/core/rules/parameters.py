"""Rules about parameters that the published sampler ignores."""

from gateway.core.rules.rule import NormalForm, Rule, changed, positions_to_fill
from gateway.core.tracks import GENERATED, TRACKS

SAMPLED = tuple(name for name in GENERATED if name != "function")


def foreign_ids(form: NormalForm) -> NormalForm:
    ordinary = TRACKS[form["track"]].ordinary
    return changed(form, invalid_ids=[number for number in form["invalid_ids"] if number in ordinary])


def function_ids(form: NormalForm) -> NormalForm:
    return changed(form, invalid_ids=[]) if form["track"] == "function" else form


def spare_steps(form: NormalForm) -> NormalForm:
    _, counted = positions_to_fill(form)
    return changed(form, num_steps=max(1, min(form["num_steps"], counted)))


def one_step_schedule(form: NormalForm) -> NormalForm:
    return changed(form, schedule="cosine") if _one_step(form) else form


def one_step_strategy(form: NormalForm) -> NormalForm:
    return changed(form, strategy="entropy") if _one_step(form) else form


def idle_flag(form: NormalForm) -> NormalForm:
    inputs = form["inputs"]
    if inputs["coordinates"] is not None and inputs["structure"] is not None:
        return form
    return changed(form, condition_on_coordinates_only=True)


def _one_step(form: NormalForm) -> bool:
    return bool(min(form["num_steps"], positions_to_fill(form)[1]) == 1)


IDS = (
    Rule(
        "foreign_invalid_ids",
        "sampler",
        "Special ids, and ids outside the vocabulary, do not matter in `invalid_ids`.",
        "tracks other than function; ordinary ids do matter",
        "0/400 differ (3.2.1), 0/48 (3.4.1), tests/sampler; only ordinary ids are ever sampled",
        "esm/utils/generation.py: _sample_per_prompt, valid_ids",
        foreign_ids,
        SAMPLED,
    ),
    Rule(
        "function_invalid_ids",
        "sampler",
        "`invalid_ids` does not matter when function is generated.",
        "track function",
        "0/40 differ (3.2.1), 0/12 (3.4.1), tests/sampler; the sampler only warns",
        "esm/utils/generation.py: _sample_per_prompt, function",
        function_ids,
        ("function",),
    ),
)
STEPS = (
    Rule(
        "spare_steps",
        "sampler",
        "`num_steps` above the number of positions to fill counts as that number.",
        "counted as the sampler does: masks of the generated track, or the sequence's tokens where it is absent",
        "0/500 differ (3.2.1), 0/60 (3.4.1), tests/sampler; the sampler lowers the number itself",
        "esm/utils/generation.py: iterative_sampling_tokens, num_sampling_steps",
        spare_steps,
    ),
)
ONE_STEP = (
    Rule(
        "one_step_schedule",
        "sampler",
        "`schedule` does not matter when one step fills everything.",
        "effective steps = 1",
        "0/500 differ (3.2.1), 0/60 (3.4.1), tests/sampler; with more steps 395/500 differ",
        "esm/utils/generation.py: _get_iterative_sampling_mask_for_prompt_and_step",
        one_step_schedule,
    ),
    Rule(
        "one_step_strategy",
        "sampler",
        "`strategy` does not matter when one step fills everything.",
        "effective steps = 1",
        "0/500 differ (3.2.1), 0/60 (3.4.1), tests/sampler; with more steps 459/500 differ",
        "esm/utils/generation.py: _get_iterative_sampling_mask_for_prompt_and_step",
        one_step_strategy,
    ),
)
FLAG = (
    Rule(
        "idle_coordinates_flag",
        "sampler",
        "`condition_on_coordinates_only` does not matter without coordinates or without structure tokens.",
        "coordinates null, or structure null",
        "0/400 differ, logits bit-equal (3.2.1), 0/120 (3.4.1), tests/sampler",
        "esm/utils/generation.py: iterative_sampling_tokens, tokens.structure = None",
        idle_flag,
    ),
)
