"""Read the settings once, from the file and the environment, and report all errors together.

So that an operator need not find them one by one, invalid values are set aside, and the rest is checked as if they were
at their defaults.
"""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.settings.contradictions import contradictions
from gateway.settings.errors import InvalidSettings, SettingError, dotted, sentence, unknown
from gateway.settings.model import Settings
from gateway.settings.names import CONFIG, leaves, tables
from gateway.settings.sources import find, merge, read_file, read_variables

_MAX_ROUNDS = 8
NO_FILE = SettingError("settings file", f"none was named; use --config FILE or the variable {CONFIG}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, the file they came from, and where each came from (default, file, or a variable's name)."""

    settings: Settings
    file: Path | None
    origins: Mapping[str, str]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings. Raises InvalidSettings with all errors."""
    return read(path, environ).settings


def load_here(path: Path | None) -> Loaded:
    """As `read`, with the environment of this process."""
    return read(path, os.environ)


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child process: this process's own and some more."""
    return {**os.environ, **extra}


def read(path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """The settings with their origins. `path` wins over GATEWAY_CONFIG. Raises InvalidSettings."""
    file = path or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    overrides, variables, errors = read_variables(environ)
    table = {} if file is None else read_file(file)
    if isinstance(table, SettingError):
        raise InvalidSettings([table, *errors])
    origins = {leaf.name: _origin(leaf.name, table, overrides, variables) for leaf in leaves()}
    merge(table, overrides)
    settings, wrong = _validate(table)
    errors += [SettingError(name, reason) for name, reason in wrong.items()]
    errors += contradictions(settings, frozenset(wrong))
    if errors and file is None and not find(overrides, "upstream.keys")[0]:
        errors.insert(0, NO_FILE)
    if errors:
        raise InvalidSettings(errors)
    return Loaded(settings, file, origins)


def _origin(name: str, file: Any, overrides: Any, variables: Mapping[str, str]) -> str:
    if find(overrides, name)[0]:
        setting = max((given for given in variables if f"{name}.".startswith(f"{given}.")), key=len)
        return variables[setting]
    return "file" if find(file, name)[0] else "default"


def _validate(table: dict[str, Any]) -> tuple[Settings, dict[str, str]]:
    """The settings without the invalid values, and what is wrong with those by name."""
    rest = copy.deepcopy(table)
    wrong: dict[str, str] = {}
    for _ in range(_MAX_ROUNDS):
        try:
            return Settings.model_validate(rest), wrong
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False, include_input=False)
        named = {_name(error["loc"]): _reason(error) for error in errors}
        wrong |= {name: reason for name, reason in named.items() if not any(bad.startswith(name) for bad in wrong)}
        for place in sorted({_location_to_drop(error["loc"]) for error in errors}, key=_order, reverse=True):
            _drop(rest, place)
    return Settings(), wrong


def _reason(error: Any) -> str:
    if error["type"] != "extra_forbidden":
        return sentence(error)
    known = [leaf.name for leaf in leaves()] + list(tables())
    return unknown(_name(error["loc"]), known)


def _name(location: Sequence[int | str]) -> str:
    return dotted([step for step in location if step != "[key]"])


def _location_to_drop(location: Sequence[int | str]) -> tuple[int | str, ...]:
    """What to set aside for one error: the value, the entry with an invalid name, or the whole item of a list."""
    for at, step in enumerate(location):
        if isinstance(step, int):
            return tuple(location[: at + 1])
        if step == "[key]":
            return tuple(location[:at])
    return tuple(location)


def _order(place: Sequence[int | str]) -> tuple[str, int]:
    """A sort key; in reverse order later items of a list come first, so that dropping one moves no other."""
    last = place[-1]
    return dotted(place[:-1]), last if isinstance(last, int) else 0


def _drop(table: Any, place: Sequence[int | str]) -> None:
    for step in place[:-1]:
        table = table[step]
    del table[place[-1]]
