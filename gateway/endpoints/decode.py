"""POST /api/v1/decode: raw tokens to letters, numbers and coordinates, by ESM3 or (the sequence alone) by ESM C.

It takes surface areas (`sasa`) in two ways: as token ids, or as the numbers that forward_and_sample returned for that
track (esm/utils/decoding.py, decode_sasa).
"""

from collections.abc import Sequence
from itertools import islice
from typing import Annotated

from pydantic import Field

from gateway.core.endpoint import Endpoint, NormalizedBody, ParseConfig
from gateway.core.problems import FieldError
from gateway.core.strict_json import MAX_ERRORS
from gateway.core.tracks import SASA
from gateway.endpoints._answers.decode import ANSWER
from gateway.endpoints._tokens import TokensBody
from gateway.endpoints._tokens import normalize as normalize_tokens
from gateway.endpoints.generate_tensor import Inputs, refuse

Id = Annotated[int, Field(ge=0)]
Area = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Decoded(Inputs):
    """The seven tracks, surface areas as ids or as numbers."""

    sasa: Annotated[list[Id | Area | None], Field(min_length=3)] | None = None  # type: ignore[assignment]


class Decode(TokensBody):
    """The body as the SDK sends it."""

    inputs: Decoded


def normalize(asked: Decode, rules: ParseConfig) -> NormalizedBody:
    """As for all tokens; surface areas in whole numbers throughout are ids, and must exist."""
    sasa: Sequence[int | float | None] = asked.inputs.sasa or ()
    if all(type(value) is int for value in sasa):
        unknown = (i for i, value in enumerate(sasa) if value not in range(SASA.lowest, SASA.highest + 1))
        detail = f"should be an id from {SASA.lowest} to {SASA.highest}"
        refuse([FieldError(f"/inputs/sasa/{i}", detail) for i in islice(unknown, MAX_ERRORS)])
    return normalize_tokens(asked, rules)


ENDPOINT = Endpoint("decode", Decode, normalize, price="tokens (residues + 2)", answer=ANSWER)
