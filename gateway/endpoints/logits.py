"""POST /api/v1/logits: logits, embeddings and hidden states of one forward pass of ESM3 or ESM C.

With the header `return-bytes` the upstream would answer with packed torch files inside the JSON; the gateway does not
forward that header, so plain numbers come back.
"""

from typing import Annotated

from pydantic import Field

from gateway.core.endpoint import Body, Endpoint
from gateway.endpoints._letters import Name
from gateway.endpoints._tokens import TokensBody, normalize


class SparseFeatures(Body):
    """Which sparse autoencoders are run on the hidden states (ESM C, since esm 3.4)."""

    models: Annotated[list[Name], Field(max_length=1000)] | None = None
    normalize_features: bool | None = None


class Wanted(Body):
    """What is returned (esm/sdk/api.py, LogitsConfig); esm 3.4 adds means and `sae_config`; ESM C has fewer tracks."""

    sequence: bool | None = None
    structure: bool | None = None
    secondary_structure: bool | None = None
    sasa: bool | None = None
    function: bool | None = None
    residue_annotations: bool | None = None
    return_embeddings: bool | None = None
    return_mean_embedding: bool | None = None
    return_hidden_states: bool | None = None
    return_mean_hidden_states: bool | None = None
    ith_hidden_layer: Annotated[int, Field(ge=-1, le=1000)] | None = None
    sae_config: SparseFeatures | None = None


class Logits(TokensBody):
    """The body as the SDK sends it."""

    logits_config: Wanted | None = None


ENDPOINT = Endpoint("logits", Logits, normalize, price="tokens (residues + 2)")
