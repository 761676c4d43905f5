"""The endpoints as a page to read, written from what they declare and from the models of their bodies."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.core.sampler_checks import CHECKS
from gateway.endpoints import ENDPOINTS, AnyEndpoint

FLAG = "potential_sequence_of_concern"
HEAD = f"""# Endpoints

What each endpoint accepts, whether its answers are cached, and what a call costs. An unknown field is refused, nothing
is coerced (`"5"` is not a number), and null means absent. A field without a default that is left out is left out
upstream, too; `{FLAG}` counts as false. `[]` means each element of an array; fields of
`query` are query parameters.

A call costs its price times the weight of its model (`models` in [settings](settings.md)), at least one unit. Cache
hits cost nothing. Tokens include the start and end tokens: a protein of L residues has L + 2. One protein has at most
`request.max_tokens` of them (4096 by default). `esm-gateway cache explain` shows the price of a body.

Every answer can be recorded in a [namespace](caching.md), whether or not its endpoint is cached.

What the sampler is known to fail on is refused before the call: see [sampler checks](#sampler-checks).
"""
CHECKS_HEAD = """## Sampler checks

What the published sampler is known to crash on, refused with 422 and its reason instead of a 500 of the upstream, which
SDKs try again. The hosted service is closed and may differ, so each check has a switch in the settings: for example
`nothing_masked = false` in the table `[request.checks]`. Letters that no sequence has (lower case, `J`) are no such
case: the tokenizer reads each as one unknown residue.

| check | refused | endpoints | source |
|---|---|---|---|"""
CACHED = "yes, by [determinism class](caching.md): `exact` and `pinned` by default, `sampled` in pools and namespaces"


def as_markdown() -> str:
    """docs/endpoints.md"""
    checks = (
        f"| `{check.name}` | {check.refuses} | {', '.join(check.endpoints)} | {check.source} |" for check in CHECKS
    )
    return "\n".join([HEAD, *(_section(endpoint) for endpoint in ENDPOINTS), CHECKS_HEAD, *checks, ""])


def _section(endpoint: AnyEndpoint) -> str:
    about, *more = (sys.modules[endpoint.model.__module__].__doc__ or "").strip().split("\n\n", 1)
    facts = {
        "price": f"{endpoint.price}; the weight is 1" if endpoint.fixed_model else endpoint.price,
        "cached": f"no: {endpoint.not_cached}" if endpoint.not_cached else CACHED,
        "largest body": f"{endpoint.max_bytes // 2**20} MiB, or `request.max_body_bytes` if that is less",
    }
    schema = endpoint.model.model_json_schema()
    rows = [f"| `{name}` | {kind} | {default} |" for name, kind, default in _fields(schema, schema, "", endpoint)]
    return "\n".join(
        [
            f"## {endpoint.name}\n",
            f"`{endpoint.method} {endpoint.path}`: {about.partition(': ')[2]}\n",
            *(f"{text}\n" for text in more),
            *(f"- **{name}**: {fact}" for name, fact in facts.items()),
            "\n| field | type | default |\n|---|---|---|",
            *rows,
            "",
        ]
    )


def _fields(
    schema: Mapping[str, Any], root: Mapping[str, Any], prefix: str, endpoint: AnyEndpoint
) -> Iterator[tuple[str, str, str]]:
    """Name, type and default of each field, those of inner objects behind it."""
    for name, field in schema["properties"].items():
        path = f"{prefix}{name}"
        default = "required" if name in schema.get("required", ()) else _default(endpoint, path)
        yield path, _kind(field, root), default
        for step, inner in _objects(field, root):
            yield from _fields(inner, root, f"{path}{step}.", endpoint)


def _default(endpoint: AnyEndpoint, path: str) -> str:
    if path == FLAG:
        return "`false`"
    return f"`{json.dumps(endpoint.defaults[path])}`" if path in endpoint.defaults else ""


def _objects(field: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects that a field is or holds, and how they are reached from it."""
    if "$ref" in field:
        yield "", root["$defs"][field["$ref"].rpartition("/")[2]]
    for option in field.get("anyOf", ()):
        yield from _objects(option, root)
    if isinstance(field.get("items"), Mapping):
        for step, inner in _objects(field["items"], root):
            yield f"[]{step}", inner


def _kind(field: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        kinds = [_kind(option, root) for option in field["anyOf"] if option.get("type") != "null"]
        return " or ".join(kinds)
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if "pattern" in field:
        return f"string matching `{field['pattern']}`".replace("|", "\\|")
    kind: str = field.get("type") or ("object" if "$ref" in field else field.get("description", "any"))
    return kind + _range(field) + _elements(field, root)


def _elements(field: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if "prefixItems" in field:
        return f" of {', '.join(_kind(item, root) for item in field['prefixItems'])}"
    if "items" not in field:
        return ""
    options = field["items"].get("anyOf", [field["items"]])
    null = " (or null)" if {"type": "null"} in options else ""
    return f" of {_kind(field['items'], root)}{null}"


def _range(field: Mapping[str, Any]) -> str:
    if "prefixItems" in field:
        return ""
    lows, highs = ("minimum", "exclusiveMinimum", "minItems", "minLength"), ("maximum", "maxItems", "maxLength")
    low, high = (next((field[name] for name in names if name in field), None) for names in (lows, highs))
    of = "length " if {"minItems", "maxItems", "minLength", "maxLength"} & field.keys() else ""
    above = "above " if "exclusiveMinimum" in field else ""
    if low is not None and high is not None:
        return f" ({of}{above}{low}{'' if low == high else f' to {high}'})"
    if low is not None:
        return f" ({of}{above or 'at least '}{low})"
    return f" ({of}at most {high})" if high is not None else ""
