"""Bounds on what a body may make its reader do, looked at before that is done: structure, lengths, faults.

A body is small beside what can be made of it: 4 MiB of `[99,99,...]` are 1.4 million faults, each of which pydantic
would describe in a dictionary of its own; 32 MiB of `[],` are 11 million lists. So brackets and quotation marks are
counted before there is a tree, lengths are checked in the tree before its items are, and of a list in a large body the
first fault alone is looked for.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import SchemaValidator

from gateway.core.problems import BODY_UNREADABLE, CALL_INVALID, FieldError, Problem
from gateway.core.strict_json import pointer

UNBOUNDED_UP_TO = 2**16
"""Bodies of so many bytes cannot hold enough to matter."""
ARRAYS_PER_TOKEN = 64
"""A token with coordinates of 37 atoms, a row of functions and one of annotations has 40 arrays."""
TEXTS_PER_TOKEN = 128
ITEMS_PER_TOKEN = 16
"""No list is longer than this for each token that a protein may have: an alignment has up to 16,384 rows."""
MAX_MEMBERS = 100
"""No object of any endpoint has a third as many."""


def check_text(raw: bytes, max_tokens: int) -> None:
    """A 400 problem for a large body that has more arrays, objects or texts than any call of this many tokens."""
    if len(raw) <= UNBOUNDED_UP_TO:
        return
    if raw.count(b"[") + raw.count(b"{") > ARRAYS_PER_TOKEN * max_tokens:
        raise Problem(BODY_UNREADABLE, "The body has more arrays and objects than any call needs.")
    if raw.count(b'"') > 2 * TEXTS_PER_TOKEN * max_tokens:
        raise Problem(BODY_UNREADABLE, "The body has more names and texts than any call needs.")


def check_lengths(tree: Any, max_tokens: int) -> None:
    """A 422 problem for the first object or list that has more members or items than any may have."""
    for where, detail in _too_long(tree, (), ITEMS_PER_TOKEN * max_tokens):
        raise Problem(CALL_INVALID, errors=[FieldError(pointer(where), detail)])


def _too_long(tree: Any, at: tuple[str | int, ...], most: int) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(tree, dict):
        if len(tree) > MAX_MEMBERS:
            yield at, "has more members than are known here"
        for name, value in tree.items():
            if isinstance(value, (dict, list)):
                yield from _too_long(value, (*at, name), most)
    elif len(tree) > most:
        yield at, f"has {len(tree)} items; at most {most} are accepted"
    elif set(map(type, tree)) == {dict}:
        for i, value in enumerate(tree):
            yield from _too_long(value, (*at, i), most)
    elif set(map(type, tree)) == {list} and max(map(len, tree)) > most:
        i = next(i for i, value in enumerate(tree) if len(value) > most)
        yield from _too_long(tree[i], (*at, i), most)


@cache
def first_faults(model: type[BaseModel]) -> SchemaValidator:
    """The model's validator, but of each list or tuple it tells the first faulty item alone."""
    # Validators that pydantic has made for the parts of the model would tell all.
    return SchemaValidator(_failing_fast(model.__pydantic_core_schema__), _use_prebuilt=False)


def _failing_fast(schema: Any) -> Any:
    if isinstance(schema, dict):
        changed = {name: _failing_fast(part) for name, part in schema.items()}
        return {**changed, "fail_fast": True} if schema.get("type") in ("list", "tuple") else changed
    if isinstance(schema, (list, tuple)):
        return type(schema)(map(_failing_fast, schema))
    return schema
