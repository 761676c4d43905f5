"""POST /api/v1/logits: logits, embeddings and hidden states of one forward pass of ESM3 or ESM C.

With the header `return-bytes` the upstream would answer with packed torch files inside the JSON; the gateway does not
forward that header, so plain numbers come back. An answer that cannot fit into `upstream.max_answer_bytes` is refused
before the call, where the model's shape is known (gateway/core/model_shapes.py). Each sparse autoencoder multiplies
every token with a table of up to 65,536 columns (esm/models/esmc/sae.py): counted as a fifth of a forward pass.
"""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from gateway.core import model_shapes
from gateway.core.canonical_form import FLAG, Implied
from gateway.core.endpoint import Body, Endpoint, NormalizedBody, ParseConfig
from gateway.endpoints._answers.logits import ANSWER
from gateway.endpoints._letters import Name
from gateway.endpoints._tokens import TokensBody, refuse_unfit
from gateway.endpoints._tokens import normalize as normalize_tokens

AUTOENCODER_SHARE = 0.2
# esm/sdk/api.py, LogitsConfig: nothing is returned that is not asked for, and -1 means all layers.
DEFAULTS = {
    "sequence": False,
    "structure": False,
    "secondary_structure": False,
    "sasa": False,
    "function": False,
    "residue_annotations": False,
    "return_embeddings": False,
    "return_mean_embedding": False,
    "return_hidden_states": False,
    "return_mean_hidden_states": False,
    "ith_hidden_layer": -1,
}


class SparseFeatures(Body):
    """Which sparse autoencoders are run on the hidden states (ESM C, since esm 3.4)."""

    models: Annotated[list[Name], Field(max_length=1000)] | None = None
    normalize_features: bool | None = None


class LogitsOptions(Body):
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

    logits_config: LogitsOptions | None = None


def normalize(asked: Logits, rules: ParseConfig) -> NormalizedBody:
    """As for all tokens, if the answer can fit; autoencoders are paid for."""
    normalized = normalize_tokens(asked, rules)
    config = asked.logits_config or LogitsOptions()
    _refuse_unfit(asked, config, normalized.length, rules)
    autoencoders = len((config.sae_config and config.sae_config.models) or ())
    return replace(normalized, units=normalized.units * (1 + AUTOENCODER_SHARE * autoencoders))


def _refuse_unfit(asked: Logits, config: LogitsOptions, n: int, rules: ParseConfig) -> None:
    layers = bool(config.return_hidden_states)
    wanted = model_shapes.Wanted(bool(config.return_embeddings), layers, config.ith_hidden_layer)
    if layers:
        at, remedies = "return_hidden_states", ["one layer (`ith_hidden_layer`)", "means (`return_mean_hidden_states`)"]
    else:
        at, remedies = "return_embeddings", ["their mean (`return_mean_embedding`)"]
    refuse_unfit(asked, wanted, n, f"/logits_config/{at}", rules, remedies)


ENDPOINT = Endpoint(
    "logits",
    Logits,
    normalize,
    price="tokens (residues + 2) x (1 + 0.2 for each model of `logits_config.sae_config`)",
    implied=Implied({FLAG: False, "logits_config": DEFAULTS}),
    answer=ANSWER,
)
