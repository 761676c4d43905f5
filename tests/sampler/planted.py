"""Deliberately wrong rules: each looks right, gives one cache key to calls that differ, and must be caught."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np

from gateway import endpoints
from gateway.core.endpoint import ParseConfig
from gateway.core.rules import rule_set
from gateway.core.rules.rule import NormalForm, is_empty, with_track
from tests.claims import changes
from tests.claims.moves import twin
from tests.claims.table import TRACKS, Json
from tests.endpoints.examples import ESM3


@dataclass(frozen=True)
class Wrong:
    """A rule, pairs that it gives one cache key, and the generated tracks for which to show it."""

    name: str
    apply: Callable[[NormalForm], NormalForm]
    make: Callable[[Random, Json], Json | None]
    tracks: tuple[str, ...]


def any_top_p(form: NormalForm) -> NormalForm:
    return {**form, "top_p": 1.0}


def other_top_p(chance: Random, made: Json) -> Json | None:
    made["top_p"] = 1.0
    return {**twin(made), "top_p": chance.choice([0.3, 0.5])}


def unknown_is_none(form: NormalForm) -> NormalForm:
    array = form["inputs"]["coordinates"]
    return form if array is None or np.isfinite(array).any() else with_track(form, "coordinates", None)


def empty_is_none(form: NormalForm) -> NormalForm:
    return with_track(form, form["track"], None) if is_empty(form, form["track"]) else form


def lone_is_nothing(form: NormalForm) -> NormalForm:
    array = form["inputs"]["coordinates"]
    if array is None:
        return form
    array = array[:, :3].copy()
    array[~np.isfinite(array).all(axis=(1, 2))] = np.nan
    return with_track(form, "coordinates", array)


WRONG = (
    Wrong("top_p does not matter at temperature 0", any_top_p, other_top_p, TRACKS[:4]),
    Wrong(
        "unknown coordinates are as none, whatever the structure",
        unknown_is_none,
        changes.unknown_beside_structure,
        tuple(track for track in TRACKS if track != "structure"),
    ),
    Wrong(
        "the generated track all mask is as none, chain breaks or not",
        empty_is_none,
        changes.target_beside_a_break,
        TRACKS[1:],
    ),
    Wrong("a lone atom is as none", lone_is_nothing, changes.lone_atom, TRACKS),
)


def is_shared_by(wrong: Wrong, one: Json, other: Json) -> bool:
    """Whether both have one form under all rules and this one."""
    return _form(wrong, one) == _form(wrong, other)


def _form(wrong: Wrong, made: Json) -> str:
    endpoint = endpoints.find("/api/v1/generate_tensor")
    assert endpoint is not None
    form = endpoint.parse_with_body(json.dumps(made).encode(), "", ParseConfig({ESM3: 1.0}))[0].normal_form
    assert form is not None
    return repr(rule_set("sampler", {}).apply(wrong.apply(form)))
