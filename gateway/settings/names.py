"""The names of the settings, derived from the model: dotted in the file, `GATEWAY_...` in the environment."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.settings.model import Settings

PREFIX = "GATEWAY_"
NESTING = "__"
CONFIG = "GATEWAY_CONFIG"


@dataclass(frozen=True, slots=True)
class Setting:
    """One leaf of the model (a list, or a table with names of the operator's choice, is one leaf)."""

    name: str
    field: FieldInfo

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper().replace(".", NESTING)


def table_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a table, else None."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def leaves(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[Setting]:
    """Every setting, in the order of the model."""
    for name, field in model.model_fields.items():
        inner = table_model(field)
        if inner is None:
            yield Setting(prefix + name, field)
        else:
            yield from leaves(inner, f"{prefix}{name}.")


def tables(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every table of settings, dotted."""
    for name, field in model.model_fields.items():
        inner = table_model(field)
        if inner is not None:
            yield prefix + name
            yield from tables(inner, f"{prefix}{name}.")


def is_text(field: FieldInfo) -> bool:
    """Whether a variable's value is taken unchanged (text, a path, an enumeration)."""
    return any(kind in (str, Path) or get_origin(kind) is Literal for kind in alternatives(field.annotation))


def is_path(field: FieldInfo) -> bool:
    return Path in alternatives(field.annotation)


def alternatives(annotation: Any) -> set[Any]:
    """The types of a union, without their metadata; the types within containers are not included."""
    if get_origin(annotation) in (tuple, Literal) or not get_args(annotation):
        return {annotation}
    if hasattr(annotation, "__metadata__"):
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) is not None and not _is_union(annotation):
        return {annotation}
    return set().union(*(alternatives(kind) for kind in get_args(annotation)))


def _is_union(annotation: Any) -> bool:
    return type(None) in get_args(annotation)
