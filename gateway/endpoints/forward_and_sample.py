"""POST /api/v1/forward_and_sample: one forward pass of ESM3 and one draw on each track that is asked for.

The SDK prefers pickle; the gateway requests JSON only, whatever the caller accepts.
"""

from typing import Annotated

from pydantic import Field

from gateway.core.endpoint import Body, Endpoint
from gateway.endpoints._tokens import TokensBody, normalize


class SampledTrack(Body):
    """How one track is sampled (esm/sdk/api.py, SamplingTrackConfig)."""

    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    only_sample_masked_tokens: bool | None = None
    invalid_ids: list[Annotated[int, Field(ge=-(2**63), lt=2**63)]] | None = None
    topk_logprobs: Annotated[int, Field(ge=0, le=32)] | None = None  # esm/utils/constants/api.py, MAX_TOPK_*


class Sampling(Body):
    """Null for a track that is not sampled."""

    sequence: SampledTrack | None = None
    structure: SampledTrack | None = None
    secondary_structure: SampledTrack | None = None
    sasa: SampledTrack | None = None
    function: SampledTrack | None = None


class Embedding(Body):
    """Which embeddings are returned: the mean over the sequence, or one for each residue."""

    sequence: bool | None = None
    per_residue: bool | None = None


class ForwardAndSample(TokensBody):
    """The body as the SDK sends it."""

    sampling_config: Sampling | None = None
    embedding_config: Embedding | None = None


ENDPOINT = Endpoint(
    "forward_and_sample",
    ForwardAndSample,
    normalize,
    price="tokens (residues + 2)",
    not_cached="each track is sampled at a temperature of its own",
)
