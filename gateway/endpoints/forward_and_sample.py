"""POST /api/v1/forward_and_sample: one forward pass of ESM3 and one draw on each track that is asked for.

The SDK prefers pickle; the gateway requests JSON only, whatever the caller accepts. Embeddings of each residue that
cannot fit into `upstream.max_answer_bytes` are refused before the call, where the model's shape is known.
"""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from gateway.core import tracks
from gateway.core.canonical_form import FLAG, Implied
from gateway.core.endpoint import Body, Endpoint, NormalizedBody, ParseConfig
from gateway.core.model_shapes import Wanted
from gateway.core.problems import FieldError
from gateway.core.sampler_checks import Draw, draw_faults
from gateway.core.types import DeterminismClass
from gateway.endpoints._answers.forward_and_sample import ANSWER
from gateway.endpoints._tokens import TokensBody, refuse_unfit
from gateway.endpoints._tokens import normalize as normalize_tokens
from gateway.endpoints.generate_tensor import refuse


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


def normalize(asked: ForwardAndSample, rules: ParseConfig) -> NormalizedBody:
    """As for all tokens, if every track can be sampled and the answer can fit."""
    normalized = replace(normalize_tokens(asked, rules), drawn=_drawn(asked.sampling_config or Sampling()))
    refuse(_faults(asked.sampling_config or Sampling(), rules))
    if asked.embedding_config is not None and asked.embedding_config.per_residue:
        at, remedies = "/embedding_config/per_residue", ["their mean (`sequence`)"]
        refuse_unfit(asked, Wanted(embeddings=True), normalized.length, at, rules, remedies)
    return normalized


def _drawn(asked: Sampling) -> DeterminismClass:
    """Whether any track is drawn: at temperature 0 it is the arg max, on the function track at any (sampling.py)."""
    configs = (getattr(asked, name) for name in tracks.GENERATED if name != "function")
    sampled = any(config is not None and config.temperature != 0 for config in configs)
    return DeterminismClass.SAMPLED if sampled else DeterminismClass.EXACT


def _faults(asked: Sampling, rules: ParseConfig) -> list[FieldError]:
    wanted = {name: config for name in tracks.GENERATED if (config := getattr(asked, name)) is not None}
    return [
        fault
        for name, config in wanted.items()
        for fault in draw_faults("forward_and_sample", _draw(name, config), rules.skipped_checks)
    ]


def _draw(name: str, asked: SampledTrack) -> Draw:
    at = f"/sampling_config/{name}"
    return Draw(tracks.TRACKS[name], asked.temperature, False, asked.invalid_ids or (), at=at)


ENDPOINT = Endpoint(
    "forward_and_sample",
    ForwardAndSample,
    normalize,
    price="tokens (residues + 2)",
    answer=ANSWER,
    not_cached="each track is sampled at a temperature of its own",
    # A track with an empty object is sampled, a track with null is not.
    implied=Implied(
        {FLAG: False, "sampling_config": {}, "embedding_config": {"sequence": False, "per_residue": False}}
    ),
)
