"""What the SDK answered, as plain data: to compare the answer through the gateway with the one without it."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import attr
import numpy as np
import torch


def members(value: Any) -> Iterator[tuple[str, Any]] | None:
    """The fields of the SDK's values, some of which are attrs classes and some dataclasses."""
    if attr.has(type(value)):
        return ((field.name, getattr(value, field.name)) for field in attr.fields(type(value)))
    if is_dataclass(value):
        return ((field.name, getattr(value, field.name)) for field in fields(value))
    return iter(value.items()) if isinstance(value, dict) else None


def outline(value: Any) -> Any:
    """Types, names, shapes and kinds of numbers; no values."""
    kind = type(value).__name__
    if isinstance(value, torch.Tensor | np.ndarray):
        return kind, tuple(value.shape), str(value.dtype)
    if (named := members(value)) is not None:
        return kind, {name: outline(item) for name, item in named}
    if isinstance(value, list | tuple):
        return kind, [outline(item) for item in value]
    return kind


def content(value: Any) -> Any:
    """Everything, exactly; unknown coordinates (NaN) equal each other."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return repr(value.tolist())
    if (named := members(value)) is not None:
        return {name: content(item) for name, item in named}
    if isinstance(value, list | tuple):
        return [content(item) for item in value]
    return repr(value)
