"""How many numbers a model returns for a token, and so the least size of an answer, before the call.

Layers and widths are from esm/pretrained.py and, for the hosted models, the table in esm/sdk/api.py (LogitsConfig), of
which the hosted ESM C 6B is not verified. A model that is not in the table is never refused.

A number is counted as six bytes. Measured as compact JSON, normally distributed values take 6.3 (float16 in its own
shortest digits, magnitude 20) to 20.9 (float32 in float64 digits), separator included: what is refused could not have
fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

LEAST_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Layers of a transformer, and the numbers that each gives for a token."""

    layers: int
    width: int


SHAPES: Final[Mapping[str, ModelShape]] = MappingProxyType(
    {
        "esm3-open": ModelShape(48, 1536),
        "esm3-sm-open": ModelShape(48, 1536),
        "esm3-small": ModelShape(48, 1536),
        "esmc-300m": ModelShape(30, 960),
        "esmc-600m": ModelShape(36, 1152),
        "esmc-6b": ModelShape(80, 2560),
    }
)
"""By the beginning of a model's name, up to a `-` or its end: `esmc-300m-2024-12` is `esmc-300m`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the model's numbers is returned for each token: embeddings, and all layers or the one named."""

    embeddings: bool = False
    layers: bool = False
    layer: int | None = None


def shape(model: str) -> ModelShape | None:
    """The shape of a published model; None for any other."""
    return next((found for name, found in SHAPES.items() if f"{model}-".startswith(f"{name}-")), None)


def least_bytes(model: str, wanted: Wanted, n: int) -> int | None:
    """A lower estimate of the answer for n tokens; None for a model that is not known."""
    known = shape(model)
    return None if known is None else n * known.width * _rows(known, wanted) * LEAST_BYTES


def too_large(model: str, wanted: Wanted, n: int, max_bytes: int | None, remedies: Sequence[str]) -> str | None:
    """Why this answer cannot fit, and what would, beside the remedies; None if it may."""
    known, size = shape(model), least_bytes(model, wanted, n)
    if known is None or size is None or max_bytes is None or size <= max_bytes:
        return None
    rows = _rows(known, wanted)
    fits = max_bytes // (LEAST_BYTES * known.width * rows)
    counted = f"{n} tokens x {rows} x {known.width} numbers are at least {size / 1e6:.1f} MB"
    shorter = f"a shorter protein (at most {fits} tokens)"
    return (
        f"cannot fit: {counted}, and answers of up to {max_bytes / 1e6:.1f} MB are taken; "
        f"ask for {', '.join(remedies)} or {shorter}"
    )


def _rows(known: ModelShape, wanted: Wanted) -> int:
    layers = known.layers if wanted.layer in (None, -1) else 1
    return wanted.embeddings + (layers if wanted.layers else 0)
