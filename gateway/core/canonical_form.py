"""The canonical form of a call: equal for two calls with the same meaning, whichever release of the SDK wrote them.

Releases of the SDK differ in what they spell out: one sends a member as null or at its default that another leaves out.
Such members are absent from the form, so that a record made with one release replays with another. What goes upstream
is not touched: it is what the caller wrote.

The form carries a version. Form 1 was the body as it goes upstream; generate_tensor still has it, because that body
already spells every member out. Form 2 is described by `settled` below. The digest by form 1 is computed beside the one
by form 2: under it older namespaces hold their entries, and older receipts and files name their calls.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import orjson

FORM = 2
FLAG = "potential_sequence_of_concern"
_ABSENT = object()
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Implied:
    """What a body means where it says nothing.

    `defaults` are members with the value that left-out ones have in every release of the SDK, nested as in the body; a
    function tells it from the whole body. An object that has defaults of its own is as good as left out once nothing is
    left in it. `null_matters` names members for which null is a choice, and differs from leaving them out.
    """

    defaults: Mapping[str, Any] = field(default_factory=lambda: {FLAG: False})
    null_matters: frozenset[str] = frozenset()


def settled(body: Json, implied: Implied) -> dict[str, Any]:
    """The body without what says nothing: members that are null, and members at their default."""
    return _settled(body, implied.defaults, implied.null_matters, body)


def digest(head: Sequence[Any], body: Json, bulk: Iterable[bytes], seen: dict[int, list[Any]]) -> bytes:
    """The SHA-256 of a form. `seen` remembers arrays that were digested for another form of the same body."""
    return sha256(as_bytes(head, body, bulk, seen)).digest()


def as_bytes(head: Sequence[Any], body: Json, bulk: Iterable[bytes], seen: dict[int, list[Any]] | None = None) -> bytes:
    """The form as bytes: JSON with sorted members, an array as its shape and digest, then the bulk."""
    text = orjson.dumps([*head, body], default=_arrays({} if seen is None else seen), option=orjson.OPT_SORT_KEYS)
    return b"\0".join((text, *(len(part).to_bytes(8, "big") + part for part in bulk)))


def array_text(value: Any) -> list[Any]:
    """An array in the text of a form: its shape and digest."""
    if not isinstance(value, np.ndarray):
        raise TypeError
    return [value.shape, sha256(value.tobytes()).hexdigest()]


def _arrays(seen: dict[int, list[Any]]) -> Callable[[Any], list[Any]]:
    def told(value: Any) -> list[Any]:
        found = seen.get(id(value))
        if found is None:
            found = seen[id(value)] = array_text(value)
        return found

    return told


def _settled(body: Json, defaults: Json, null_matters: frozenset[str], whole: Json) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in body.items():
        default = defaults.get(name, _ABSENT)
        default = default(whole) if callable(default) else default
        if isinstance(value, Mapping):
            inner = default if isinstance(default, Mapping) else {}
            value = _settled(value, inner, null_matters, whole)
            if not value and isinstance(default, Mapping):
                continue
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            value = [_settled(row, {}, null_matters, whole) for row in value]
        elif (value is None and name not in null_matters) or _same(value, default):
            continue
        kept[name] = value + 0.0 if type(value) is float else value  # -0.0 is 0.0
    return kept


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)
