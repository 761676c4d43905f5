"""The answers that are numbers rather than proteins: one forward pass, its logits and embeddings.

Shapes are those of the model's heads, except the width of embeddings (4 instead of 1,536) and the number of hidden
layers (3 instead of 48), which would only make answers large. Values are plain JSON, never pickled tensors.
"""

from collections.abc import Sequence
from typing import Any, Final

from gateway.core import tracks
from gateway.core.tracks import FUNCTION, Track
from gateway.sandbox import crashes, draws
from gateway.sandbox.bodies import ForwardAndSample, Logits, RefusedError, TrackSampling
from gateway.sandbox.sampler import all_masked, fill, sampleable

EMBEDDING_WIDTH: Final = 4
HIDDEN_LAYERS: Final = 3
# Head widths of esm/models/esm3.py, OutputHeads; the one of residue annotations has a name of its own on this wire.
_HEADS: Final = (
    ("sequence", (64,)),
    ("structure", (4096,)),
    ("secondary_structure", (11,)),
    ("sasa", (19,)),
    ("function", (8, 260)),
    ("residue_annotations", (1478,)),
)


def forward_and_sample(request: ForwardAndSample) -> tuple[int, dict[str, Any]]:
    """Units and answer. A track sampled at a temperature above 0 is drawn afresh, as the sampler does."""
    n = crashes.positions(request.inputs)
    stable = draws.seed_of("forward", request.model, request.inputs)
    answer: dict[str, Any] = {}
    for name in tracks.GENERATED:
        config = request.sampling_config.get(name)
        answer[name] = None if config is None else _track(request, config, tracks.TRACKS[name], n, stable)
    wanted = request.embedding_config
    per_residue = draws.numbers(stable, (n, EMBEDDING_WIDTH), -2.0, 2.0)
    answer["embeddings"] = {
        "sequence": per_residue.mean(axis=0) if wanted is not None and wanted.sequence else None,
        "per_residue": per_residue if wanted is not None and wanted.per_residue else None,
    }
    return n, answer


def _track(request: ForwardAndSample, config: TrackSampling, track: Track, n: int, stable: bytes) -> dict[str, Any]:
    if track == FUNCTION and config.temperature == 0:
        raise RefusedError(500, "function: division by zero at temperature 0")
    # Solvent accessibility is an expectation and function an arg max: neither is ever drawn.
    repeats = config.temperature == 0 or track.name in ("sasa", "function")
    settings = [track.name, float(config.temperature), float(config.top_p), sorted(set(config.invalid_ids))]
    seed = draws.derive(stable, repr(settings)) if repeats else draws.fresh_seed()
    given = request.inputs.get(track.name)
    start = given if given is not None and config.only_sample_masked_tokens else all_masked(track, n)
    candidates = sampleable(track, config.invalid_ids)
    shape = (n,) if track.depth is None else (n, track.depth)
    top = (n, config.topk_logprobs)
    return {
        "tokens": fill(track, start, candidates, seed),
        "logprobs": draws.numbers(draws.derive(seed, "logprobs"), shape, -3.0, 0.0),
        "entropy": draws.numbers(draws.derive(seed, "entropy"), (n,), 0.0, 3.0),
        "topk_logprobs": draws.numbers(draws.derive(seed, "top"), top, -3.0, 0.0) if top[1] else None,
        "topk_tokens": _top_tokens(seed, candidates, top) if top[1] else None,
    }


def _top_tokens(seed: bytes, candidates: Sequence[int], shape: tuple[int, int]) -> list[list[int]]:
    rows, width = shape
    drawn = draws.pick(draws.derive(seed, "tokens"), candidates, rows * width)
    return [drawn[i * width : (i + 1) * width] for i in range(rows)]


def logits(request: Logits) -> tuple[int, dict[str, Any]]:
    """Units and answer: one forward pass, the same numbers for the same inputs."""
    n = crashes.positions(request.inputs)
    config = request.logits_config
    seed = draws.seed_of("forward", request.model, request.inputs)
    heads = {
        name: draws.numbers(draws.derive(seed, name), (1, n, *width), -4.0, 4.0)
        for name, width in _HEADS
        if getattr(config, name)
    }
    embeddings = draws.numbers(seed, (1, n, EMBEDDING_WIDTH), -2.0, 2.0)
    layers = HIDDEN_LAYERS if config.ith_hidden_layer == -1 else 1
    shape = (layers, 1, n, EMBEDDING_WIDTH)
    hidden = draws.numbers(draws.derive(seed, f"layer {config.ith_hidden_layer}"), shape, -2.0, 2.0)
    return n, {
        "logits": heads or None,
        "embeddings": embeddings if config.return_embeddings else None,
        "hidden_states": hidden if config.return_hidden_states else None,
        "mean_embedding": embeddings.mean(axis=1) if config.return_mean_embedding else None,
        "mean_hidden_state": hidden.mean(axis=2) if config.return_mean_hidden_states else None,
        "sae_outputs": None,
    }
