"""Where settings come from: the TOML file and `GATEWAY_*` variables, merged into one nested table.

A variable overrides the file. `GATEWAY_LISTEN__PORT` is `listen.port`; lists and tables are JSON; an empty variable
counts as not set. Relative paths in the file are relative to its directory, in a variable to the working directory.
Only names are validated here.
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
    """The file as a nested table, with absolute paths."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return SettingError(str(path), f"cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number of 5,000 digits, a thousand brackets
        return SettingError(str(path), f"is not TOML: {error}")
    _make_paths_absolute(table, path.absolute().parent)
    return table


def read_variables(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str], list[SettingError]]:
    """The variables as a nested table, which variable set which setting, and unknown names as errors."""
    known = {PREFIX + name.upper().replace(".", "__"): (name, None) for name in tables()} | {
        leaf.variable: (leaf.name, leaf.field) for leaf in leaves()
    }
    table: dict[str, Any] = {}
    origins: dict[str, str] = {}
    errors: list[SettingError] = []
    for variable, text in sorted(_setting_variables(environ)):
        if variable not in known:
            errors.append(SettingError(variable, unknown(variable, [*known, CONFIG])))
            continue
        name, field = known[variable]
        merge(table, _nest(name, _value(text, field)))
        origins[name] = variable
    return table, origins, errors


def merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    """Merge one nested table into another: tables of settings are merged, everything else is replaced."""
    mergeable = {"", *tables()}

    def merge_table(target: dict[str, Any], source: Mapping[str, Any], name: str) -> None:
        for key, value in source.items():
            inner = f"{name}.{key}".lstrip(".")
            if inner in mergeable and isinstance(value, Mapping) and isinstance(target.get(key), dict):
                merge_table(target[key], value, inner)
            else:
                target[key] = value

    merge_table(into, table, "")


def find(table: Any, name: str) -> tuple[bool, Any]:
    """Whether a dotted name is set in a nested table, and its value."""
    for step in name.split("."):
        if not isinstance(table, Mapping) or step not in table:
            return False, None
        table = table[step]
    return True, table


def _setting_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, text in environ.items():
        service_link = _SERVICE_LINK.fullmatch(name) and (name != "GATEWAY_PORT" or "://" in text)
        if name.startswith(PREFIX) and name != CONFIG and text != "" and not service_link:
            yield name, text


def _value(text: str, field: FieldInfo | None) -> Any:
    """Text unchanged, a path made absolute, anything else as JSON where it is valid JSON."""
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


def _make_paths_absolute(table: dict[str, Any], base: Path) -> None:
    """Make the relative paths of a file absolute."""
    for leaf in leaves():
        present, value = find(table, leaf.name)
        if present and is_path(leaf.field) and isinstance(value, str):
            merge(table, _nest(leaf.name, str(base / value)))
    present, others = find(table, "secrets.other_master_files")
    if present and isinstance(others, list):
        others[:] = [str(base / each) if isinstance(each, str) else each for each in others]
    _, keys = find(table, "upstream.keys")
    for key in keys if isinstance(keys, list) else ():
        if isinstance(key, dict) and isinstance(key.get("file"), str):
            key["file"] = str(base / key["file"])
