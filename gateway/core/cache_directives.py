"""The request directives of `Cache-Control` (RFC 9111 section 5.2.1), and three of the gateway's own.

`pool=NAME, sample=3` asks for one of the shared samples of a call whose answer is drawn anew each time;
`namespace=NAME` for the entry of that namespace. `sample=next, run=TOKEN` asks for the sample that no repeat of the
call has had in that run. Unknown directives are ignored (RFC 9111 section 5.2.3). A known one with a value that cannot
be read is refused: ignoring it would cost money, or give another answer than was meant.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from gateway.core.problems import CACHE_CONTROL_INVALID, CACHE_CONTROL_REFUSED, Problem

DIRECTIVES = (
    "no-cache",
    "no-store",
    "only-if-cached",
    "max-age",
    "min-fresh",
    "max-stale",
    "pool",
    "sample",
    "namespace",
)
"""Every directive that has an effect here; a key may be limited to some of them."""
MAX_DELTA_S = 2**31
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_SAMPLE = 10_000
NEXT_SAMPLE = 0
"""Stands for `sample=next`, until the run says which number that is."""
# A comma within a quoted string does not end a directive (RFC 9110 section 5.6.4).
_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_NAME = re.compile(_TOKEN)
# What somebody meant who wrote "no-cache;no-store", "max-age: 60" or "\"max-age=60\"".
_BEGINS_WITH = re.compile(rf'[\s"]*({_TOKEN})')


@dataclass(frozen=True, slots=True)
class CacheDirectives:
    """Ages in seconds. None and False: not given."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: int | None = None
    pool: str | None = None
    sample: int | None = None
    namespace: str | None = None
    run: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the directives that were given; `run` belongs to `sample`."""
        given = (field.name for field in fields(self) if getattr(self, field.name) is not field.default)
        names = {"sample" if name == "run" else name.replace("_", "-"): None for name in given}
        return tuple(names)


NO_DIRECTIVES = CacheDirectives()


def parse_directives(
    header: str | None, allowed: tuple[str, ...] | None = None, *, in_namespace: bool = False
) -> CacheDirectives:
    """The directives in a header. Raises a 400 problem for a known one that cannot be read, 403 for one not `allowed`.

    `in_namespace`: the caller's key uses a namespace, unless another is named here.
    """
    if not header:
        return NO_DIRECTIVES
    directives = _parse(header)
    if directives == NO_DIRECTIVES:
        return NO_DIRECTIVES
    if directives.sample is not None and directives.pool is None and directives.namespace is None and not in_namespace:
        raise Problem(CACHE_CONTROL_INVALID, "sample needs a pool: sample=3, pool=NAME.")
    _check_run(directives)
    if allowed is not None and not set(directives.names) <= set(allowed):
        refused = ", ".join(name for name in directives.names if name not in allowed)
        raise Problem(CACHE_CONTROL_REFUSED, f"This key may not use: {refused}.")
    return replace(directives, sample=1) if directives.pool is not None and directives.sample is None else directives


def response_forbids_storing(header: str | None) -> bool:
    """Whether this Cache-Control of a response has `no-store` (RFC 9111 section 5.2.2.5)."""
    if not header:
        return False
    return any(part.partition("=")[0].strip().lower() == "no-store" for part in _DIRECTIVE.findall(header))


def _check_run(directives: CacheDirectives) -> None:
    """`sample=next` and `run=TOKEN` belong together."""
    counts = directives.sample == NEXT_SAMPLE
    if counts and directives.run is None:
        raise Problem(
            CACHE_CONTROL_INVALID, "sample=next needs a run: sample=next, run=TOKEN, a new token for each run."
        )
    if directives.run is not None and not counts:
        raise Problem(CACHE_CONTROL_INVALID, "run belongs to sample=next: sample=next, run=TOKEN.")


def _parse(header: str) -> CacheDirectives:
    given: dict[str, Any] = {}
    for part in _DIRECTIVE.findall(header):
        name, equals, text = part.partition("=")
        name = name.strip().lower()
        parse = _PARSERS.get(name)
        if parse is not None:
            # The first of repeated directives counts (RFC 9111 section 4.2.1).
            given.setdefault(name.replace("-", "_"), parse(name, _unquoted(text.strip()) if equals else None))
        elif not _NAME.fullmatch(name):
            _refuse_garbled(part)
    return CacheDirectives(**given)


def _refuse_garbled(part: str) -> None:
    """A 400 problem for what is no directive at all and begins with the name of one."""
    begins = _BEGINS_WITH.match(part)
    if begins is not None and (name := begins[1].lower()) in _PARSERS:
        detail = f"{name} cannot be read: directives are separated by commas, and a value follows = (max-age=60)."
        raise Problem(CACHE_CONTROL_INVALID, detail)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _flag(name: str, value: str | None) -> bool:
    # A value means nothing here (RFC 9111 section 5.2.1.4), and the wish is clear without it.
    return True


def _seconds(name: str, value: str | None) -> int:
    if not (value and value.isascii() and value.isdigit()):
        raise Problem(CACHE_CONTROL_INVALID, f"{name} must be a whole number of seconds from 0, such as {name}=60.")
    digits = value.lstrip("0")
    # RFC 9111 section 1.2.2: larger values count as 2^31.
    return MAX_DELTA_S if len(digits) > 10 else min(int(digits or "0"), MAX_DELTA_S)


def _staleness(name: str, value: str | None) -> int:
    return MAX_DELTA_S if value is None else _seconds(name, value)


def _name(name: str, value: str | None) -> str:
    if value is None or not NAME_PATTERN.fullmatch(value):
        raise Problem(CACHE_CONTROL_INVALID, f"{name} must be 1 to 64 letters, digits or . _ -")
    return value


def _number(name: str, value: str | None) -> int:
    if value is not None and value.lower() == "next":
        return NEXT_SAMPLE
    if not (value and value.isascii() and value.isdigit() and len(value) < 6 and 1 <= int(value) <= MAX_SAMPLE):
        raise Problem(CACHE_CONTROL_INVALID, f"{name} must be a whole number from 1 to {MAX_SAMPLE}, or next")
    return int(value)


_PARSERS: Mapping[str, Callable[[str, str | None], Any]] = {
    "no-cache": _flag,
    "no-store": _flag,
    "only-if-cached": _flag,
    "max-age": _seconds,
    "min-fresh": _seconds,
    "max-stale": _staleness,
    "pool": _name,
    "sample": _number,
    "namespace": _name,
    "run": _name,
}
