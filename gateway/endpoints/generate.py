"""POST /api/v1/generate: one track of ESM3, conditioned on a protein in letters; letters and numbers out.

The upstream encodes, generates and decodes. Parameters and their dated defaults are those of generate_tensor. What the
sampler would fail on is not checked, because the tokens exist only upstream.
"""

from collections.abc import Mapping
from typing import Any

from gateway.core.endpoint import Endpoint, NormalizedBody, ParseConfig
from gateway.endpoints._letters import ENDS, Protein, read_protein
from gateway.endpoints.generate_tensor import ALWAYS, DEFAULTS, NEWEST, Generation, parameters


class Generate(Generation):
    """The body: the parameters (one more since esm 3.4), and a protein in letters."""

    inputs: Protein
    only_compute_backbone_rmsd: bool | None = None


def normalize(asked: Generate, rules: ParseConfig) -> NormalizedBody:
    """Every default made explicit, the protein as given."""
    inputs, residues = read_protein(asked.inputs, rules.max_tokens)
    body = parameters(asked, rules, residues)
    n = residues + ENDS
    return NormalizedBody(body={**body, "inputs": inputs}, units=n * _steps(body, inputs, residues), length=n)


def _steps(body: Mapping[str, Any], inputs: Mapping[str, Any], residues: int) -> int:
    """An upper bound: the sampler makes at most num_steps, and at most one for each masked residue.

    Which residues are masked is known here for a generated sequence alone: its letters `_`. On any other track, and
    where no letter is masked, every residue counts.
    """
    sequence = inputs.get("sequence") if body["track"] == "sequence" else None
    masked: int = (sequence or "").count("_")
    return min(int(body["num_steps"]), masked or residues)


ENDPOINT = Endpoint(
    "generate",
    Generate,
    normalize,
    price="tokens (residues + 2) x steps; steps are at most `num_steps`, and at most one for each masked residue",
    not_cached="which calls get equal answers is known for tokens only: use generate_tensor",
    defaults={**ALWAYS, **DEFAULTS[NEWEST]},
)
