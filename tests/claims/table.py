"""Reading the table of claims: each claim is two bodies and the level from which on they are one call.

Nothing here knows a rule; bodies are made from a base and edits alone, so the table can judge the rules. Plain JSON and
the standard library only: the tests of the real sampler read it too, in an environment of their own.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
TRACKS = ("sequence", "structure", "secondary_structure", "sasa", "function")
EMPTY = {"sequence": (0, 32, 2), "structure": (4098, 4096, 4097), "secondary_structure": (0, 0, 0), "sasa": (0, 0, 0)}
"""BOS, mask and EOS of each track, written down a second time on purpose."""
_TABLE = json.loads((Path(__file__).parent / "claims.json").read_text())


@dataclass(frozen=True)
class Claim:
    """Two bodies for one generated track; `same` is wire, sampler, optional or never."""

    rule: str | None
    name: str
    track: str
    same: str
    one: Json
    other: Json

    def __str__(self) -> str:
        return f"{self.rule}: {self.name} ({self.track})"


def claims() -> Iterator[Claim]:
    """Every claim on every track that it names."""
    for row in _TABLE["claims"]:
        for track in row.get("tracks", TRACKS):
            one, other = (body(row[side], track) for side in ("one", "other"))
            other = backwards(other) if row.get("reversed") else other
            yield Claim(row["rule"], row["name"], track, row["same"], one, other)


def body(edits: Json, track: str) -> Json:
    """The base with these edits, generating this track. Function at temperature 0 is an error unless annealed."""
    made = {"track": track, **copy.deepcopy(_TABLE["base"])}
    if track == "function":
        made["temperature"] = 0.5
    for path, value in edits.items():
        *folders, last = path.removeprefix("-").split("/")
        place: Any = made
        for step in folders:
            place = place[int(step) if isinstance(place, list) else step]
        key: Any = int(last) if isinstance(place, list) else last
        if path.startswith("-"):
            del place[key]
        else:
            place[key] = _spelled_out(value, last)
    return made


def backwards(tree: Any) -> Any:
    """The same members in reverse order, all the way down."""
    if isinstance(tree, dict):
        return {name: backwards(tree[name]) for name in reversed(tree)}
    return tree


def _spelled_out(value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        return copy.deepcopy(value)
    if "$atoms" in value:
        return atoms(10, value["$atoms"])
    if "$unknown" in value:
        return [[[None] * 3 for _ in range(value["$unknown"])] for _ in range(10)]
    if "$empty" in value:
        return empty(name, value["$empty"])
    return {key: _spelled_out(inner, key) for key, inner in value.items()}


def empty(name: str, n: int) -> list[Any]:
    """A track all mask between BOS and EOS."""
    if name == "function":
        return [[0] * 8 for _ in range(n)]
    first, mask, last = EMPTY[name]
    return [first, *[mask] * (n - 2), last]


def atoms(n: int, width: int) -> list[Any]:
    """A bent chain of `n` positions, ends unknown; atoms beyond N, CA and C are made up."""
    residues = [
        [[1.5 * i + 0.7 * j, 2.0 * (i % 3) - 0.5 * j, 0.25 * i * j - 1.0 + 0.3 * (j % 2)] for j in range(width)]
        for i in range(n)
    ]
    nothing = [[None] * 3 for _ in range(width)]
    return [nothing, *residues[1:-1], copy.deepcopy(nothing)]
