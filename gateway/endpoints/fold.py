"""POST /api/v1/fold: coordinates of one protein from its sequence.

esm 3.2 sends a sequence, a model and the flag; esm 3.4 sends the options of ESMFold2 instead and no flag at all, so the
flag is forwarded only where it was sent. Null is forwarded too, because it is a choice (`msa_max_depth`).
"""

from typing import Annotated, Any

from pydantic import Field

from gateway.core.endpoint import Body, Endpoint, NormalizedBody, ParseConfig
from gateway.endpoints._letters import ENDS, Letters, bounded

Share = Annotated[float, Field(ge=0, le=1)]
# A state dictionary as base64 of zstd of JSON (esm/utils/compression.py); only the encoding is checked.
Packed = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$")]


class Alignment(Body):
    """A multiple sequence alignment as plain JSON (esm/utils/msa: MSA.state_dict)."""

    sequences: Annotated[list[str], Field(min_length=1, max_length=16384)]
    deletions: list[list[int]] | None = None
    headers: list[str] | None = None


class Folding(Body):
    """The options shared by folding a protein and folding a complex (esm/sdk/api.py, FoldingConfig)."""

    model: str
    potential_sequence_of_concern: bool | None = None
    include_distogram: bool | None = None
    include_pae: bool | None = None
    include_pair_chains_iptm: bool | None = None
    include_embeddings: bool | None = None
    num_sampling_steps: Annotated[int, Field(ge=1, le=10_000)] | None = None
    num_loops: Annotated[int, Field(ge=0, le=10_000)] | None = None
    lm_dropout: Share | None = None
    lm_mask_pct: Share | None = None
    msa_max_depth: Annotated[int, Field(ge=0, le=10**6)] | None = None
    msa_column_mask_rate: Share | None = None


class Fold(Folding):
    """The body as the SDK sends it."""

    sequence: Letters
    msa: Packed | Alignment | None = None


def as_given(asked: Folding) -> dict[str, Any]:
    """The members that were given; a flag that was given is true or false."""
    body = asked.model_dump(exclude_unset=True)
    if "potential_sequence_of_concern" in body:
        body["potential_sequence_of_concern"] = bool(asked.potential_sequence_of_concern)
    return body


def normalize(asked: Fold, rules: ParseConfig) -> NormalizedBody:
    """The body as given, if it is not too long."""
    bounded(len(asked.sequence), "/sequence", rules.max_tokens)
    n = len(asked.sequence) + ENDS
    return NormalizedBody(body=as_given(asked), units=n, length=n)


ENDPOINT = Endpoint("fold", Fold, normalize, price="tokens (residues + 2)")
