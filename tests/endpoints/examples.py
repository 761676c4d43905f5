"""Bodies for the tests of the endpoints, and ways to ask about calls and refusals without printing what is in them.

Each endpoint has a test file of its own, `test_<endpoint>.py`, that declares an `EXAMPLE`; the tests of
`test_every_endpoint.py` and of the sandbox run on those.
"""

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from gateway import endpoints
from gateway.core.endpoint import ParseConfig
from gateway.core.problems import CALL_INVALID, Problem
from gateway.core.types import Call

Json = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """The least that an endpoint accepts, for a protein of six residues (eight tokens), and what is expected of it.

    `bills` are changes of the body, each with the tokens and the passes over them that it costs. `too_long` are changes
    that make it nine tokens, and the pointer at which that is refused. `sdk` are the versions of esm that call it and
    are recorded in tests/wire; `flag` is what is forwarded for a flag that was left out.
    """

    body: Json
    bills: tuple[tuple[Json, int, int], ...]
    too_long: tuple[Json, str]
    query: str = ""
    sdk: tuple[str, ...] = ()
    flag: bool | None = False


def example(name: str) -> Example:
    """What the test file of an endpoint declares."""
    try:
        found = import_module(f"tests.endpoints.test_{name}").EXAMPLE
    except (ModuleNotFoundError, AttributeError):
        raise AssertionError(f"endpoint {name} needs tests/endpoints/test_{name}.py with an EXAMPLE") from None
    assert isinstance(found, Example)
    return found


WIRE = Path(__file__).parent.parent / "wire"
ESM3, ESMC = "esm3-open-2024-03", "esmc-300m-2024-12"
FLAG = "potential_sequence_of_concern"
RULES = ParseConfig(models={ESM3: 1.0, ESMC: 0.5})

RESIDUES = 6
NULLS = [[None] * 3] * 37
COORDINATES: list[Any] = [[[1.5 * i + j, -2.0, 0.25] for j in range(37)] for i in range(RESIDUES)]

# BOS A _ V _ _ S EOS, and the other tracks of the same protein
TOKENS: Json = {
    "sequence": [0, 5, 32, 7, 32, 32, 8, 2],
    "structure": [4098, 17, 4096, 4095, 0, 4096, 2048, 4097],
    "secondary_structure": [0, 3, 0, 10, 0, 5, 0, 0],
    "sasa": [0, 3, 0, 18, 0, 4, 0, 0],
    "function": [[0] * 8, [4] * 8, [0] * 8, [3] * 8, [0] * 8, [0] * 7 + [259], [0] * 8, [0] * 8],
    "coordinates": [NULLS, *COORDINATES, NULLS],
    "residue_annotation": [[0] * 16, [7, 9] + [0] * 14, [0] * 16, [0, 1477, 0, 4] + [0] * 12, *[[0] * 16] * 4],
}


# The same protein in letters
PROTEIN: Json = {
    "sequence": "AC_E|_",
    "secondary_structure": "HH_EC_",
    "sasa": [1.0, None, 12.5, 60, "<pad>", 200.0],
    "function": [["IPR000001", 2, 4]],
    "coordinates": COORDINATES,
}


def generation(track: str = "sequence", **changes: Any) -> Json:
    """A body of generate_tensor in which the track that is generated is given, partly masked."""
    return {"model": ESM3, "track": track, "inputs": {track: TOKENS[track]}, **changes}


def call(name: str, body: Json | str, query: str = "", rules: ParseConfig = RULES) -> Call:
    """What the endpoint makes of this body."""
    endpoint = endpoints.find(f"/api/v1/{name}")
    assert endpoint is not None
    return endpoint.parse((body if isinstance(body, str) else json.dumps(body)).encode(), query, rules)


def forwarded(name: str, body: Json | str, query: str = "", rules: ParseConfig = RULES) -> Json:
    """What would go upstream."""
    tree: Json = json.loads(call(name, body, query, rules).body)
    return tree


def errors(name: str, body: Json, query: str = "", rules: ParseConfig = RULES) -> list[str]:
    """Pointers of a 422 refusal, each once; nothing for a body that is accepted."""
    try:
        call(name, body, query, rules)
    except Problem as problem:
        if problem.type is not CALL_INVALID or not problem.errors:
            raise
        return list(dict.fromkeys(error.pointer for error in problem.errors))
    return []


def odd(name: str, rules: ParseConfig = RULES, /, **changes: Any) -> list[str]:
    """Pointers of a refusal of the endpoint's example with these changes."""
    given = example(name)
    return errors(name, {**given.body, **changes}, given.query, rules)


def least(name: str, **changes: Any) -> Json:
    """The body of the endpoint's example with these changes."""
    return {**example(name).body, **changes}


def unlike(one: Json, other: Json) -> set[str]:
    """Names of the members in which two bodies differ."""
    return {name for name in {*one, *other} if one.get(name, ...) != other.get(name, ...)}


def wire(name: str) -> list[tuple[str, str, Json]]:
    """(case, query, body) of every request that the real SDK was seen to make of an endpoint."""
    found = []
    for path in sorted(WIRE.glob("3*_*.json")):
        for exchange in json.loads(path.read_text())["exchanges"]:
            target, _, query = exchange["request"]["target"].partition("?")
            if target == f"/api/v1/{name}":
                found.append((path.stem, query, exchange["request"]["body"]))
    return found
