"""POST /api/v1/generate_tensor: one output track of ESM3, conditioned on input tracks, raw tokens in and out.

Parameters, ranges and defaults are from the API's page for this endpoint; vocabularies, and what crashes the sampler,
from the published `esm` package, measured (`gateway/core/tracks.py`, `gateway/core/sampler_checks.py`). Defaults have
changed at the upstream, so they are made explicit, from a dated set that the setting `request.defaults` names.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gateway.core import coordinates, determinism, tracks
from gateway.core.endpoint import Body, Endpoint, NormalizedBody, ParseConfig
from gateway.core.problems import CALL_INVALID, FieldError, Problem
from gateway.core.sampler_checks import Draw, draw_faults
from gateway.endpoints._answers.generate_tensor import ANSWER

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "2025-02-14": {"num_steps": 20, "temperature": 0.5, "temperature_annealing": True, "strategy": "random"},
    "2024-06-25": {"num_steps": 8, "temperature": 1.0, "temperature_annealing": False, "strategy": "random"},
}
NEWEST = "2025-02-14"
ALWAYS: Mapping[str, Any] = {
    "schedule": "cosine",
    "top_p": 1.0,
    "condition_on_coordinates_only": True,
    "invalid_ids": (),
    "potential_sequence_of_concern": False,
}

Sequence = Annotated[list[Annotated[int, Field(ge=0, le=32)]], Field(min_length=3)]
Structure = Annotated[list[Annotated[int, Field(ge=-1, le=4100)]], Field(min_length=3)]
States = Annotated[list[Annotated[int, Field(ge=0, le=10)]], Field(min_length=3)]
Surface = Annotated[list[Annotated[int, Field(ge=0, le=18)]], Field(min_length=3)]
Row = Annotated[list[Annotated[int, Field(ge=0, le=259)]], Field(min_length=8, max_length=8)]
Functions = Annotated[list[Row], Field(min_length=3)]
Atoms = Annotated[Any, Field(description="[tokens][3, 14 or 37][3] numbers (ångström) or null")]
Annotations = Annotated[list[Annotated[list[Annotated[int, Field(ge=0, le=1477)]], Field(max_length=16)]], Field()]


class Inputs(Body):
    """The seven input tracks. [n] with n = residues + 2 (BOS and EOS); lengths must agree."""

    sequence: Sequence | None = None
    structure: Structure | None = None
    secondary_structure: States | None = None
    sasa: Surface | None = None
    function: Functions | None = None
    coordinates: Atoms = None
    residue_annotation: Annotations | None = None


class Generation(Body):
    """The parameters of a generation, as on the API's page."""

    model: str
    track: Literal["sequence", "structure", "secondary_structure", "sasa", "function"]
    potential_sequence_of_concern: bool | None = None
    invalid_ids: list[Annotated[int, Field(ge=-(2**63), lt=2**63)]] | None = None
    schedule: Literal["cosine", "linear"] | None = None
    strategy: Literal["random", "entropy"] | None = None
    num_steps: Annotated[int, Field(ge=1, le=100)] | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    temperature_annealing: bool | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    condition_on_coordinates_only: bool | None = None


class GenerateTensor(Generation):
    """The body: the parameters, and a protein in tokens."""

    inputs: Inputs


def normalize(asked: GenerateTensor, rules: ParseConfig) -> NormalizedBody:
    """The body with defaults explicit, sets sorted, coordinates as float32; or a 422 problem."""
    inputs, n = read_inputs(asked.inputs, rules.max_tokens)
    body = parameters(asked, rules, n)
    draw = _draw(body, inputs, n)
    refuse(draw_faults("generate_tensor", draw, rules.skipped_checks))
    # Nothing is masked only where that check is switched off; then the upstream knows better what it does.
    steps = min(body["num_steps"], draw.masked or n)
    return NormalizedBody(
        body={**body, "inputs": forwarded(inputs)},
        bulk_free={**body, "inputs": {name: track for name, track in inputs.items() if name != "coordinates"}},
        bulk=_bulk(inputs["coordinates"]),
        units=steps * n,
        length=n,
        determinism=determinism.classify(
            body["track"], body["temperature"], body["temperature_annealing"], body["strategy"], steps
        ),
        normal_form={**body, "length": n, "inputs": inputs},
    )


def parameters(asked: Generation, rules: ParseConfig, n: int) -> dict[str, Any]:
    """Everything but the inputs, each default explicit."""
    given = asked.model_dump(exclude={"inputs"}, exclude_none=True)
    body: dict[str, Any] = {**ALWAYS, **DEFAULTS[rules.defaults], **given}
    body["num_steps"] = asked.num_steps or min(body["num_steps"], n)
    # `+ 0.0` spells -0.0 as 0.0 and 0 as 0.0.
    body["temperature"], body["top_p"] = body["temperature"] + 0.0, body["top_p"] + 0.0
    body["invalid_ids"] = sorted(set(body["invalid_ids"]))
    return body


def read_inputs(asked: Inputs, max_tokens: int) -> tuple[dict[str, Any], int]:
    """The seven tracks in their normal form, null where absent, and the number of tokens that each has."""
    inputs: dict[str, Any] = {name: getattr(asked, name) for name in tracks.INPUTS}
    if inputs["coordinates"] is not None:
        array = coordinates.read(inputs["coordinates"], "/inputs/coordinates")
        if isinstance(array, list):
            raise Problem(CALL_INVALID, errors=array)
        inputs["coordinates"] = array
    if inputs["residue_annotation"] is not None:
        # Zeros are padding: neither their position nor the row's width reaches the model (bit-equal logits).
        inputs["residue_annotation"] = [_packed(row) for row in inputs["residue_annotation"]]
    lengths = {name: len(track) for name, track in inputs.items() if track is not None}
    if not lengths:
        refuse([FieldError("/inputs", "at least one track must be given")])
    n = next(iter(lengths.values()))
    refuse(
        [
            FieldError(f"/inputs/{name}", f"has {m} positions where {n} are expected")
            for name, m in lengths.items()
            if m != n
        ]
    )
    if not 3 <= n <= max_tokens:
        refuse([FieldError(f"/inputs/{next(iter(lengths))}", f"has {n} positions; 3 to {max_tokens} are accepted")])
    return inputs, n


def _packed(row: list[int]) -> list[int]:
    ids = [number for number in row if number]
    return ids + [0] * (16 - len(ids))


def _draw(body: Mapping[str, Any], inputs: Mapping[str, Any], n: int) -> Draw:
    track = tracks.TRACKS[body["track"]]
    return Draw(
        track,
        temperature=body["temperature"],
        annealing=body["temperature_annealing"],
        invalid_ids=body["invalid_ids"],
        num_steps=body["num_steps"],
        positions=n,
        masked=tracks.positions_to_sample(track, inputs, coordinates_only=body["condition_on_coordinates_only"]),
        masked_at=f"/inputs/{track.name}",
        mask=str(track.mask),
    )


def forwarded(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The tracks as they are forwarded."""
    array = inputs["coordinates"]
    return {**inputs, "coordinates": None if array is None else coordinates.as_json(array)}


def _bulk(array: NDArray[np.float32] | None) -> tuple[bytes, ...]:
    return () if array is None else (repr(array.shape).encode(), array.tobytes())


def refuse(errors: list[FieldError]) -> None:
    """A 422 problem, if there is any fault."""
    if errors:
        raise Problem(CALL_INVALID, errors=errors)


ENDPOINT = Endpoint(
    "generate_tensor",
    GenerateTensor,
    normalize,
    price="tokens x steps; steps are at most `num_steps`, and at most one for each masked position",
    answer=ANSWER,
    not_cached="",
    defaults={**ALWAYS, **DEFAULTS[NEWEST]},
    form=1,
)
