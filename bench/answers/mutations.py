"""Ways to spoil an answer: with code, with nothing, with another protein, with bytes.

Each takes a parsed answer, which it may change, and a source of chance, and gives the bytes of an answer.
"""

import json
import random
from collections.abc import Callable
from typing import Any

from bench.answers.sdk import UNPICKLED

PAYLOAD = "KLUv/SBQUFlMT0FEIHRoYXQgd291bGQgcnVuIGNvZGU="
Tree = dict[str, Any]
Mutation = Callable[[Tree, random.Random], bytes]


def dumped(tree: Any, chance: random.Random) -> bytes:
    """As text, compact or spaced."""
    return json.dumps(tree, separators=chance.choice([(",", ":"), (", ", ": "), (" , ", " : ")])).encode()


def payload_for_a_tensor(tree: Tree, chance: random.Random) -> bytes:
    """A text in a member that the SDK unpickles, somewhere in it."""
    _answer(tree)[chance.choice(UNPICKLED)] = _wrapped(PAYLOAD, chance)
    return dumped(tree, chance)


def payload_inside(tree: Tree, chance: random.Random) -> bytes:
    """A text in place of some value anywhere."""
    _replaced(tree, PAYLOAD, chance)
    return dumped(tree, chance)


def payload_lifted(tree: Tree, chance: random.Random) -> bytes:
    """The same where the SDK looks into `data`."""
    inner = {**_answer(tree), chance.choice(UNPICKLED): _wrapped(PAYLOAD, chance)}
    inner.pop("outputs", None)
    return dumped({"data": inner, **({"note": 1} if chance.random() < 0.5 else {})}, chance)


def payload_repeated(tree: Tree, chance: random.Random) -> bytes:
    """A member twice: once as it should be, once with code; perhaps spelled with an escape."""
    name = chance.choice(UNPICKLED)
    spelled = "".join(f"\\u{ord(c):04x}" if chance.random() < 0.3 else c for c in name)
    more = f'"{spelled}":{json.dumps(_wrapped(PAYLOAD, chance))}'.encode()
    good = f'"{name}":[1.5]'.encode()
    parts = [more, good] if chance.random() < 0.5 else [good, more]
    return _with_members(dumped(tree, chance), parts, chance)


def emptied(tree: Tree, chance: random.Random) -> bytes:
    """Something is missing, null or empty."""
    where, name = chance.choice(_places(tree, containers=True) or _places(tree))
    if isinstance(where, dict) and chance.random() < 0.4:
        del where[name]
    else:
        where[name] = chance.choice([None, [], {}, "", {"error": 1}])
    return dumped(tree, chance)


def of_another_length(tree: Tree, chance: random.Random) -> bytes:
    """Some list or text is one shorter or longer."""
    where, name = chance.choice(_places(tree, containers=True) or _places(tree))
    value = where[name]
    if isinstance(value, (list, str)) and value:
        longer = [*value, value[-1]] if isinstance(value, list) else value + value[-1]
        where[name] = value[:-1] if chance.random() < 0.5 else longer
    return dumped(tree, chance)


def of_other_values(tree: Tree, chance: random.Random) -> bytes:
    """Some values are others."""
    for _ in range(chance.randrange(1, 4)):
        _replaced(tree, chance.choice([0, -1, 32, 4096, 9999, 1.5, None, True, "x", [0], "_", 10**30]), chance)
    return dumped(tree, chance)


def with_more(tree: Tree, chance: random.Random) -> bytes:
    """Members that nobody knows, and warnings."""
    where = chance.choice([tree, _answer(tree)])
    where[chance.choice(["news", "x", "id", "\x1b[2J"])] = chance.choice(
        [1, [1, 2], PAYLOAD, {"a": PAYLOAD, "b": 2}, [[PAYLOAD, 1]], {"logits": PAYLOAD}]
    )
    _answer(tree)["warning_messages"] = chance.choice(
        [["fine"], ["\x1b[2J\x1b]0;x\x07"], "\x1b[2J", ["a\u202eb", 5, ["\x07"]], {"\x1b": "\x1b"}, 5, None]
    )
    return dumped(tree, chance)


def repeated(tree: Tree, chance: random.Random) -> bytes:
    """A member of its own, twice: the other time with another value."""
    name = chance.choice(list(tree))
    value: Any = chance.choice([None, PAYLOAD, {}, [1], {"sequence": PAYLOAD}, {"outputs": {}}])
    return _with_members(dumped(tree, chance), [json.dumps(name).encode() + b":" + json.dumps(value).encode()], chance)


def of_other_bytes(tree: Tree, chance: random.Random) -> bytes:
    """Bytes changed, left out, put in, or cut off."""
    body = bytearray(dumped(tree, chance))
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(body))
        way = chance.randrange(4)
        if way == 0:
            body[at] = chance.choice(b'"\\{}[],:0123456789eE.-ntf \x00\xff')
        elif way == 1:
            del body[at : at + chance.randrange(1, 9)]
        elif way == 2:
            body[at:at] = chance.choice([b'"', b"{", b"[", b",", b'"logits":"x",', b"1e999", b"NaN", b"\xef\xbb\xbf"])
        elif chance.random() < 0.2:
            del body[at:]
        body = body or bytearray(b"{}")
    return bytes(body)


MUTATIONS: tuple[Mutation, ...] = (
    payload_for_a_tensor,
    payload_inside,
    payload_lifted,
    payload_repeated,
    emptied,
    of_another_length,
    of_other_values,
    with_more,
    repeated,
    of_other_bytes,
)


def _answer(tree: Tree) -> Tree:
    """The object that the SDK reads."""
    inner = tree.get("data")
    return inner if "outputs" not in tree and isinstance(inner, dict) else tree


def _wrapped(value: Any, chance: random.Random) -> Any:
    for _ in range(chance.choice([0, 0, 0, 1, 2, 5])):
        value = chance.choice([[value], [1.5, value], {"sequence": value}])
    return value


def _places(tree: Any, *, containers: bool = False) -> list[tuple[Any, Any]]:
    """Where a value stands: (object or list, name or index); of long lists the ends only."""
    found: list[tuple[Any, Any]] = []
    left = [tree]
    while left:
        value = left.pop()
        steps = list(value) if isinstance(value, dict) else list(range(len(value)))
        for step in steps if len(steps) < 12 else [*steps[:3], *steps[-2:]]:
            inner = value[step]
            if not containers or isinstance(inner, (dict, list, str)):
                found.append((value, step))
            if isinstance(inner, (dict, list)):
                left.append(inner)
    return found


def _replaced(tree: Tree, value: Any, chance: random.Random) -> None:
    where, name = chance.choice(_places(tree))
    where[name] = value


def _with_members(body: bytes, parts: list[bytes], chance: random.Random) -> bytes:
    """More members, some at the beginning and the others at the end of the outer object."""
    before = parts[: chance.randrange(len(parts) + 1)]
    after = parts[len(before) :]
    inner = body.strip()[1:-1].strip()
    return b"{" + b",".join([*before, *([inner] if inner else []), *after]) + b"}"
