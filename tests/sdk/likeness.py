"""What the SDK answered, as plain data: to compare the answer through the gateway with the one without it."""

from typing import Any

import attr
import torch


def outline(value: Any) -> Any:
    """Types, names, shapes and kinds of numbers; no values."""
    if isinstance(value, torch.Tensor):
        return "tensor", tuple(value.shape), str(value.dtype)
    if attr.has(type(value)):
        fields = attr.fields(type(value))
        return type(value).__name__, {field.name: outline(getattr(value, field.name)) for field in fields}
    if isinstance(value, list | tuple):
        return type(value).__name__, [outline(item) for item in value]
    return type(value).__name__


def content(value: Any) -> Any:
    """Everything, exactly; unknown coordinates (NaN) equal each other."""
    if isinstance(value, torch.Tensor):
        return repr(value.tolist())
    if attr.has(type(value)):
        fields = attr.fields(type(value))
        return {field.name: content(getattr(value, field.name)) for field in fields}
    if isinstance(value, list | tuple):
        return [content(item) for item in value]
    return repr(value)
