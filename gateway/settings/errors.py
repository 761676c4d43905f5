"""Errors in the settings as sentences: each names the setting and says what would be valid.

An error never repeats the value, which may be a secret pasted into the wrong setting.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

_SENTENCES: Mapping[str, str] = {
    "missing": "is required",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be a path",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list",
    "mapping_type": "must be a table",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "too_short": "must not be empty",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}


@dataclass(frozen=True, slots=True)
class SettingError:
    """One error: the setting (dotted, or the name of a variable or file) and what is wrong with it."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class InvalidSettings(Exception):
    """All errors found in the settings, together."""

    def __init__(self, errors: Iterable[SettingError]) -> None:
        self.errors: tuple[SettingError, ...] = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


def dotted(location: Sequence[int | str]) -> str:
    """upstream.keys[0].file"""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".")


def sentence(error: Mapping[str, Any]) -> str:
    """One validation error, without the value that was given."""
    pattern = _SENTENCES.get(str(error["type"]))
    text = pattern.format(**error.get("ctx", {})) if pattern else str(error["msg"])
    ceiling = str(error["loc"][0]) == "limits" and error["type"] == "int_type"
    return f'{text}, or "unlimited"' if ceiling else text


def unknown(given: str, known: Iterable[str]) -> str:
    """The error for an unknown setting, with the one that was probably meant."""
    by_text = {name.lower(): name for name in known}
    endings = {name.rsplit(".", 1)[-1]: full for name, full in by_text.items()}
    for names in (by_text, endings):
        near = get_close_matches(given.lower(), names, n=1, cutoff=0.7)
        if near:
            return f"there is no such setting; did you mean {names[near[0]]}?"
    return "there is no such setting"
