"""POST /api/v1/inverse_fold: a sequence for a structure.

esm 3.4 may send a sequence too, some letters of which are fixed.
"""

from typing import Annotated, Any

from pydantic import Field

from gateway.core.canonical_form import FLAG, Implied
from gateway.core.endpoint import Body, Endpoint, NormalizedBody, ParseConfig
from gateway.core.problems import CALL_INVALID, FieldError, Problem
from gateway.core.sampler_checks import Draw, draw_faults
from gateway.core.tracks import SEQUENCE
from gateway.core.types import DeterminismClass
from gateway.endpoints._answers.inverse_fold import ANSWER
from gateway.endpoints._letters import ENDS, Atoms, Letters, bounded, read_coordinates


class Drawing(Body):
    """How the sequence is sampled (esm/sdk/api.py, InverseFoldingConfig)."""

    invalid_ids: list[Annotated[int, Field(ge=-(2**63), lt=2**63)]] | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class InverseFold(Body):
    """The body as the SDK sends it."""

    model: str
    coordinates: Atoms
    inverse_folding_config: Drawing | None = None
    sequence: Letters | None = None
    potential_sequence_of_concern: bool | None = None


def normalize(asked: InverseFold, rules: ParseConfig) -> NormalizedBody:
    """The body as given, coordinates as float32, the flag explicit."""
    array = read_coordinates(asked.coordinates, "/coordinates")
    residues = len(array)
    bounded(residues, "/coordinates", rules.max_tokens)
    if asked.sequence is not None and len(asked.sequence) != residues:
        detail = f"has {len(asked.sequence)} residues where {residues} are expected"
        raise Problem(CALL_INVALID, errors=[FieldError("/sequence", detail)])
    faults = draw_faults("inverse_fold", _draw(asked.inverse_folding_config or Drawing()), rules.skipped_checks)
    if faults:
        raise Problem(CALL_INVALID, errors=faults)
    body: dict[str, Any] = {
        **asked.model_dump(exclude={"coordinates"}, exclude_unset=True),
        "coordinates": array,
        "potential_sequence_of_concern": bool(asked.potential_sequence_of_concern),
    }
    greedy = asked.inverse_folding_config is not None and asked.inverse_folding_config.temperature == 0
    drawn = DeterminismClass.EXACT if greedy else DeterminismClass.SAMPLED
    return NormalizedBody(body=body, units=residues + ENDS, length=residues + ENDS, drawn=drawn)


def _draw(asked: Drawing) -> Draw:
    return Draw(SEQUENCE, asked.temperature, False, asked.invalid_ids or (), at="/inverse_folding_config")


ENDPOINT = Endpoint(
    "inverse_fold",
    InverseFold,
    normalize,
    price="tokens (residues + 2)",
    answer=ANSWER,
    not_cached="the sequence is sampled at a temperature",
    # Of the temperature no default is known: it is 1 in esm 3.2.1 and 0.1 in esm 3.4.1.
    implied=Implied({FLAG: False, "inverse_folding_config": {"invalid_ids": []}}),
)
