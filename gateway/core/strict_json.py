"""Strict JSON: what could be understood in two ways is refused.

Common JSON parsers accept a repeated member name and keep one of the values; two parsers in a row (the gateway's, the
upstream's) may keep different ones. So a repeated name is refused, as are NaN, Infinity, numbers beyond float64, other
encodings than UTF-8, and anything after the value. 5.0 in place of a whole number is read as 5.

The fast parser (orjson) is trusted only if no name can have been repeated: the text then has exactly two quotation
marks for each name and string value found. Otherwise the slow parser decides, and can say where.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import orjson

from gateway.core.problems import BODY_UNREADABLE, FieldError, Problem

MAX_ERRORS = 20
# The largest float64 has 309 digits. Only where there are so many in a row is each integer looked at; as a digit of a
# longer run is none that begins one, the text is read once.
_LONG_NUMBER = re.compile(rb"(?<![0-9])[0-9]{309}")


def read_fast(raw: bytes) -> Any | None:
    """The value, or None if only the slow parser can tell whether the text is acceptable."""
    try:
        tree = orjson.loads(raw)
        return None if b"\\" in raw or raw.count(b'"') != quotes(tree) else tree
    except (orjson.JSONDecodeError, RecursionError):
        return None


def read_slow(raw: bytes) -> Any:
    """The value with whole floats as integers; raises a 400 problem that names repeated members by pointer."""
    repeating: list[_WithRepeats] = []
    try:
        tree = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=partial(_object, repeating),
            parse_float=_number,
            parse_int=_integer if _LONG_NUMBER.search(raw) else None,
            parse_constant=_no_constant,
        )
        where = list(islice(_repeats(tree, ()), MAX_ERRORS)) if repeating else []
    except UnicodeDecodeError:
        raise Problem(BODY_UNREADABLE, "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Problem(BODY_UNREADABLE, f"Not well-formed JSON at {place}.") from None
    except _Unacceptable as error:
        raise Problem(BODY_UNREADABLE, str(error)) from None
    except RecursionError:
        raise Problem(BODY_UNREADABLE, "The body is nested too deeply.") from None
    if repeating:
        errors = [FieldError(pointer(path), "this member name is repeated in its object") for path in where]
        raise Problem(BODY_UNREADABLE, "A member name is repeated.", errors)
    return tree


def pointer(path: Iterable[str | int]) -> str:
    """A JSON pointer (RFC 6901). A name with unusual characters is shown as `?`: it might be anything."""
    return "".join("/" + _step(step) for step in path)


def _step(step: str | int) -> str:
    text = str(step)
    plain = len(text) <= 40 and text.replace("_", "").replace("-", "").isalnum() and text.isascii()
    return text if plain else "?"


def quotes(tree: Any) -> int:
    """How many quotation marks the text of this value has at least: as many, if no name in it was repeated, nothing
    was escaped, and no array that begins with a number holds a text."""
    if isinstance(tree, str):
        return 2
    if isinstance(tree, dict):
        return sum(2 + quotes(value) for value in tree.values())
    if isinstance(tree, list) and tree:
        leaf = tree
        while isinstance(leaf, list) and leaf:
            leaf = leaf[0]
        if isinstance(leaf, str) and set(map(type, tree)) == {str}:
            return 2 * len(tree)
        # An array that starts with a number is assumed to have no strings; if it has, the counts differ: slow parser.
        return sum(map(quotes, tree)) if isinstance(leaf, (str, dict)) else 0
    return 0


class _WithRepeats(dict[str, Any]):
    """An object with repeated names; `names` are the first of those."""

    names: tuple[str, ...] = ()


def _object(repeating: list[_WithRepeats], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) == len(pairs):
        return tree
    result = _WithRepeats(tree)
    result.names = tuple(islice(_repeated([name for name, _ in pairs]), MAX_ERRORS))
    repeating.append(result)
    return result


def _repeated(names: list[str]) -> Iterator[str]:
    """Each name that is there more than once, at its second place."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        if seen[name] == 2:
            yield name


def _repeats(tree: Any, at: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(tree, _WithRepeats):
        yield from ((*at, name) for name in tree.names)
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, value in steps:
        if isinstance(value, (dict, list)):
            yield from _repeats(value, (*at, step))


class _Unacceptable(ValueError):
    """A number that is valid JSON but not accepted; the message is safe to show."""


def _number(text: str) -> float | int:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Unacceptable("A number in the body is too large.")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _integer(text: str) -> int:
    _number(text)  # refuses what float64 cannot represent
    return int(text)


def _no_constant(_: str) -> Any:
    raise _Unacceptable("NaN and Infinity are not JSON; write null for an unknown coordinate.")
