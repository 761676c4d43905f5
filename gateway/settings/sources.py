"""Where settings come from: the TOML file and `GATEWAY_*` variables, merged into one nested table.

A variable wins over the file. `GATEWAY_LISTEN__PORT` is `listen.port`; lists and tables are JSON; an empty variable
counts as not set. Relative paths in the file start at the file's directory, in a variable at the working directory.
Nothing is validated here beyond names.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from gateway.settings.errors import SettingError, unknown
from gateway.settings.names import CONFIG, PREFIX, is_path, is_text, leaves, tables

# Kubernetes sets these in every pod beside a service named "gateway" (enableServiceLinks); they are not settings.
_SERVICE_LINK = re.compile(r"GATEWAY_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP)\w*)")


def read_file(path: Path) -> dict[str, Any] | SettingError:
    """The file as a nested table, its relative paths anchored at its directory."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return SettingError(str(path), f"cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return SettingError(str(path), f"is not TOML: {error}")
    _anchor(table, path.absolute().parent)
    return table


def read_variables(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str], list[SettingError]]:
    """The variables as a nested table, which variable set which setting, and names that mean nothing."""
    known = {PREFIX + name.upper().replace(".", "__"): (name, None) for name in tables()} | {
        leaf.variable: (leaf.name, leaf.field) for leaf in leaves()
    }
    table: dict[str, Any] = {}
    origins: dict[str, str] = {}
    errors: list[SettingError] = []
    for variable, text in sorted(_ours(environ)):
        if variable not in known:
            errors.append(SettingError(variable, unknown(variable, [*known, CONFIG])))
            continue
        name, field = known[variable]
        merge(table, _nest(name, _value(text, field)))
        origins[name] = variable
    return table, origins, errors


def merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    """Lay one nested table over another; tables of settings are joined, everything else replaced."""
    joined = {"", *tables()}

    def lay(under: dict[str, Any], over: Mapping[str, Any], name: str) -> None:
        for key, value in over.items():
            inner = f"{name}.{key}".lstrip(".")
            if inner in joined and isinstance(value, Mapping) and isinstance(under.get(key), dict):
                lay(under[key], value, inner)
            else:
                under[key] = value

    lay(into, table, "")


def find(table: Any, name: str) -> tuple[bool, Any]:
    """Whether a dotted name is set in a nested table, and its value."""
    for step in name.split("."):
        if not isinstance(table, Mapping) or step not in table:
            return False, None
        table = table[step]
    return True, table


def _ours(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, text in environ.items():
        linked = _SERVICE_LINK.fullmatch(name) and (name != "GATEWAY_PORT" or "://" in text)
        if name.startswith(PREFIX) and name != CONFIG and text != "" and not linked:
            yield name, text


def _value(text: str, field: FieldInfo | None) -> Any:
    """Text as it stands, a path from the working directory, anything else as JSON where it is that."""
    if field is not None and is_text(field):
        return str(Path(text).absolute()) if is_path(field) else text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _nest(name: str, value: Any) -> dict[str, Any]:
    for step in reversed(name.split(".")):
        value = {step: value}
    nested: dict[str, Any] = value
    return nested


def _anchor(table: dict[str, Any], base: Path) -> None:
    """Make the relative paths of a file absolute."""
    for leaf in leaves():
        present, value = find(table, leaf.name)
        if present and is_path(leaf.field) and isinstance(value, str):
            merge(table, _nest(leaf.name, str(base / value)))
    _, keys = find(table, "upstream.keys")
    for key in keys if isinstance(keys, list) else ():
        if isinstance(key, dict) and isinstance(key.get("file"), str):
            key["file"] = str(base / key["file"])
