"""Read the settings once, from the file and the environment, and report every fault together.

An operator who mends a file should not have to find its faults one by one: values that are wrong are set aside and
the rest is judged as if they were at their defaults.
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

_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, the file they came from, and where each came from (default, file, or a variable's name)."""

    settings: Settings
    file: Path | None
    origins: Mapping[str, str]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings. Raises SettingsFaults with all of them."""
    return read(path, environ).settings


def load_here(path: Path | None) -> Loaded:
    """As `read`, with the environment of this process."""
    return read(path, os.environ)


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a process that is started from this one gets to see: our environment and some more."""
    return {**os.environ, **extra}


def read(path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """The settings with their origins. `path` wins over GATEWAY_CONFIG. Raises SettingsFaults."""
    file = path or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    over, variables, errors = read_variables(environ)
    table = {} if file is None else read_file(file)
    if isinstance(table, SettingError):
        raise InvalidSettings([table, *errors])
    origins = {leaf.name: _origin(leaf.name, table, over, variables) for leaf in leaves()}
    merge(table, over)
    settings, wrong = _judge(table)
    errors += [SettingError(name, says) for name, says in wrong.items()]
    errors += contradictions(settings, frozenset(wrong))
    if errors:
        raise InvalidSettings(errors)
    return Loaded(settings, file, origins)


def _origin(name: str, file: Any, over: Any, variables: Mapping[str, str]) -> str:
    if find(over, name)[0]:
        setting = max((given for given in variables if f"{name}.".startswith(f"{given}.")), key=len)
        return variables[setting]
    return "file" if find(file, name)[0] else "default"


def _judge(table: dict[str, Any]) -> tuple[Settings, dict[str, str]]:
    """The settings without whatever is wrong in the table, and what was wrong by name."""
    rest = copy.deepcopy(table)
    wrong: dict[str, str] = {}
    for _ in range(_ROUNDS):
        try:
            return Settings.model_validate(rest), wrong
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False, include_input=False)
        named = {_name(error["loc"]): _says(error) for error in errors}
        wrong |= {name: says for name, says in named.items() if not any(bad.startswith(name) for bad in wrong)}
        for place in sorted({_place(error["loc"]) for error in errors}, key=_order, reverse=True):
            _drop(rest, place)
    return Settings(), wrong


def _says(error: Any) -> str:
    if error["type"] != "extra_forbidden":
        return sentence(error)
    known = [leaf.name for leaf in leaves()] + list(tables())
    return unknown(_name(error["loc"]), known)


def _name(location: Sequence[int | str]) -> str:
    return dotted([step for step in location if step != "[key]"])


def _place(location: Sequence[int | str]) -> tuple[int | str, ...]:
    """What to set aside for one error: the value, the entry with a faulty name, or the whole item of a list."""
    for at, step in enumerate(location):
        if isinstance(step, int):
            return tuple(location[: at + 1])
        if step == "[key]":
            return tuple(location[:at])
    return tuple(location)


def _order(place: Sequence[int | str]) -> tuple[str, int]:
    """Later items of a list first (reversed), so that setting one aside does not move another."""
    last = place[-1]
    return dotted(place[:-1]), last if isinstance(last, int) else 0


def _drop(table: Any, place: Sequence[int | str]) -> None:
    for step in place[:-1]:
        table = table[step]
    del table[place[-1]]
