"""What folding a protein and folding a complex have in common: the options, and how they multiply the work.

ESMFold2 runs its trunk `num_loops` + 1 times, each time over as many rows of the alignment as `msa_max_depth` lets
through, and then solves `num_sampling_steps` steps of the diffusion (esm/models/esmfold2/model.py, forward): the two
add up, and the wire has no number of samples. What one costs beside the other depends on length and machine, so each
counts by what it exceeds the SDK's defaults by, as if it were the whole work: never less than the work, for any share.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from gateway.core.canonical_form import FLAG, Implied
from gateway.core.endpoint import Body
from gateway.core.types import DeterminismClass
from gateway.endpoints._alignments import MAX_DEPTH

# esm/sdk/api.py, FoldingConfig
DEFAULT_STEPS: Final = 100
DEFAULT_LOOPS: Final = 20
# esm/utils/constants/models.py; esm/sdk/forge.py, _resolve_lm_mask_pct
FAST: Final = "esmfold2-fast-2026-05"
# ESMFold2 begins its diffusion with noise (esm/models/esmfold2/model.py), whatever is masked or dropped out before.
DRAWN: Final = DeterminismClass.SAMPLED
PRICE: Final = (
    f"(1 + a + b), a = what (`num_loops` + 1) / {DEFAULT_LOOPS + 1} x (1 + rows / {MAX_DEPTH}) exceeds 1 by, b = what "
    f"`num_sampling_steps` / {DEFAULT_STEPS} exceeds 1 by; rows are the sequences of all alignments, at most "
    f"`msa_max_depth` where it is given"
)

Share = Annotated[float, Field(ge=0, le=1)]


def _mask_pct(body: Mapping[str, Any]) -> float:
    return 0.1 if body["model"] == FAST else 0.0


IMPLIED: Final = Implied(
    {
        FLAG: False,
        "include_distogram": False,
        "include_pae": False,
        "include_pair_chains_iptm": False,
        "include_embeddings": False,
        "num_sampling_steps": DEFAULT_STEPS,
        "num_loops": DEFAULT_LOOPS,
        "lm_dropout": 0.3,
        "lm_mask_pct": _mask_pct,
        "msa_max_depth": 1024,
        "msa_column_mask_rate": 0.1,
    },
    # Null switches the subsampling of the alignment off.
    null_matters=frozenset({"msa_max_depth"}),
)


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


def as_given(asked: Folding) -> dict[str, Any]:
    """The members that were given; a flag that was given is true or false."""
    body = asked.model_dump(exclude_unset=True)
    if "potential_sequence_of_concern" in body:
        body["potential_sequence_of_concern"] = bool(asked.potential_sequence_of_concern)
    return body


def work(asked: Folding, depth: int) -> float:
    """The work in units of a call with the SDK's defaults and no alignment; `depth` is that of all alignments."""
    loops = DEFAULT_LOOPS if asked.num_loops is None else asked.num_loops
    rows = depth if asked.msa_max_depth is None else min(depth, asked.msa_max_depth)
    trunk = (loops + 1) / (DEFAULT_LOOPS + 1) * (1 + rows / MAX_DEPTH)
    diffusion = (asked.num_sampling_steps or DEFAULT_STEPS) / DEFAULT_STEPS
    return 1 + max(0.0, trunk - 1) + max(0.0, diffusion - 1)
