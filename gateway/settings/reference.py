"""docs/settings.md and deploy/esm-gateway.toml, both generated from the model."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.settings.limits import HolderLimits
from gateway.settings.model import Settings
from gateway.settings.names import alternatives, leaves, table_model
from gateway.settings.table import UNLIMITED
from gateway.settings.upstream import UpstreamKeySettings

PREFACE = (
    "One TOML file (`--config`, or the variable GATEWAY_CONFIG); environment variables take precedence over it.",
    "In a variable, lists and tables are JSON; an empty variable counts as not set. An unknown name is an error.",
    "Relative paths in the file are relative to its directory. Secrets are in files of their own (mode 0640 or",
    "stricter), never in the TOML file, in a variable or on a command line.",
)
SAMPLES: Mapping[str, str] = {
    "upstream.keys": '[[upstream.keys]]\nid = "lab-1"\nfile = "/run/secrets/upstream-1"\n# concern = false',
    "models": '[models]\n"esm3-open-2024-03" = 1.0',
    "limits.users": "# [limits.users.ada]\n# units_per_day = 50000",
    "admission.weights": "# [admission.weights]\n# ada = 2.0",
    "cache.rules": "# [cache.rules]\n# unmask_counts = true",
    "request.checks": "# [request.checks]\n# nothing_masked = false",
    "stores.state_url": "redis://127.0.0.1:6379/0",
    "stores.cache_url": "redis://127.0.0.1:6380/0",
    "stores.state_password_file": "/run/secrets/state-password",
    "stores.cache_password_file": "/run/secrets/cache-password",
    "stores.state_sentinel_password_file": "/run/secrets/state-sentinel-password",
    "stores.cache_sentinel_password_file": "/run/secrets/cache-sentinel-password",
    "secrets.master_file": "/run/secrets/master",
    "secrets.signing_file": "/run/secrets/signing",
    "audit.file": "/var/lib/esm-gateway/audit/audit.jsonl",
}
"""Examples for the file, for settings without a default."""
NAMED_TABLES: Mapping[str, tuple[str, type[BaseModel]]] = {
    "upstream.keys": ("upstream.keys[]", UpstreamKeySettings),
    "limits.users": ("limits.users.NAME", HolderLimits),
}
"""Lists and tables whose items are tables."""
_WORDS: Mapping[Any, str] = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path"}


def values(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Every setting's name and value, as plain data."""
    plain = settings.model_dump(mode="json")
    for leaf in leaves():
        value: Any = plain
        for step in leaf.name.split("."):
            value = value[step]
        yield leaf.name, value


def default(field: FieldInfo) -> Any:
    """A default as plain data."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def as_markdown() -> str:
    """docs/settings.md"""
    lines = [
        "# Settings",
        "",
        *PREFACE,
        "",
        "| setting | type | default | variable | meaning |",
        "|---|---|---|---|---|",
    ]
    for leaf in leaves():
        lines.append(_row(leaf.name, leaf.field, f"`{leaf.variable}`"))
        prefix, part = NAMED_TABLES.get(leaf.name, ("", None))
        if part is not None:
            lines += [_row(f"{prefix}.{name}", field, "") for name, field in part.model_fields.items()]
    return "\n".join(lines) + "\n"


def as_toml() -> str:
    """deploy/esm-gateway.toml: every setting; those that have a default are commented out."""
    head = ["Settings of the ESM gateway. Lines that are commented out show the defaults.", *PREFACE]
    return "\n".join([*(f"# {line}".replace("`", "") for line in head), *_section(Settings, "")]) + "\n"


def _section(part: type[BaseModel], table: str) -> Iterator[str]:
    yield ""
    if table:
        yield f"# {part.__doc__}"
        yield f"[{table}]"
    inner: list[tuple[str, FieldInfo]] = []
    for name, field in part.model_fields.items():
        full = f"{table}.{name}".lstrip(".")
        if table_model(field) is not None or "[" in SAMPLES.get(full, ""):
            inner.append((full, field))
        else:
            yield f"# {field.description}"
            yield f"# {name} = {_toml(SAMPLES.get(full, default(field)))}"
    for full, field in inner:
        below = table_model(field)
        yield from _section(below, full) if below else ("", f"# {field.description}", *SAMPLES[full].splitlines())


def _row(name: str, field: FieldInfo, variable: str) -> str:
    shown = "required" if field.is_required() else _cell(default(field))
    return "| " + " | ".join((f"`{name}`", _kind(field), shown, variable, str(field.description))) + " |"


def _kind(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " or ".join(get_args(field.annotation))
    if get_origin(field.annotation) is tuple:
        return "list"
    if get_origin(field.annotation) is Mapping or get_origin(field.annotation) not in (None, Literal):
        found = [_WORDS[kind] for kind in alternatives(field.annotation) if kind in _WORDS]
        ceiling = [UNLIMITED] if "Unlimited" in repr(field.metadata) or "_unlimited" in repr(field.metadata) else []
        return " or ".join([*found, *ceiling]) or "table"
    return _WORDS.get(field.annotation, "table")


def _cell(value: Any) -> str:
    return "" if value is None or value in ([], {}) else f"`{json.dumps(value)}`"


def _toml(value: Any) -> str:
    """JSON's spelling of text, numbers, booleans and lists is TOML's too."""
    return json.dumps(UNLIMITED if value is None else value)
