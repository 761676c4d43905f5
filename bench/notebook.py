"""The questions of a lab: wild types and single mutants of four proteins, over the tracks, as scientists ask them.

No two questions mean the same; that is so by how they are made (another protein, mutation, kind or parameter), and
nothing of the product is asked. A question has spellings that only the published sampler cannot tell apart: `variants`
after the first one. How a body is written is another matter: `bench.spellings`.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

PROTEINS: Final = Path(__file__).parents[1] / "tests" / "proteins"
TRACKS: Final = ("sequence", "structure", "secondary_structure", "sasa", "function", "coordinates")
MASK, MASK_STRUCTURE, BREAK_IDS = 32, 4096, [0, 2, 32, 500]
AMINO_ACIDS: Final = range(4, 24)
_KNOWN_ATOMS: Final = 5
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One meaning. `variants` are bodies with every member spelled out; the first is how it is usually asked."""

    kind: str
    variants: Sequence[Body]

    @property
    def sampled(self) -> bool:
        return self.kind == "sampled"


@dataclass(frozen=True, slots=True)
class Protein:
    """A protein with at most one residue changed: its tokens by track, [n] each, and a name for the change."""

    name: str
    tokens: Mapping[str, Any]
    mutated: int

    @property
    def n(self) -> int:
        return len(self.tokens["sequence"])

    def masked(self, chance: random.Random, count: int) -> list[int]:
        """The sequence with `count` positions masked somewhere that leaves the changed residue in sight."""
        places = [i for i in range(1, self.n - 1) if i != self.mutated]
        begin = chance.randrange(len(places) - count)
        sequence = list(self.tokens["sequence"])
        for place in places[begin : begin + count]:
            sequence[place] = MASK
        return sequence


def _body(protein: Protein, track: str, inputs: Mapping[str, Any], **members: Any) -> Body:
    """A greedy call; what an SDK would spell out is spelled out."""
    return {
        "model": "esm3-open-2024-03",
        "inputs": {**dict.fromkeys(TRACKS), "residue_annotation": None, **inputs},
        "track": track,
        "invalid_ids": [],
        "schedule": "cosine",
        "num_steps": 8,
        "temperature": 0,
        "top_p": 1,
        "condition_on_coordinates_only": True,
        "strategy": "entropy",
        "temperature_annealing": False,
        "potential_sequence_of_concern": False,
        **members,
    }


def _with(body: Body, inputs: Mapping[str, Any] | None = None, **members: Any) -> Body:
    return {**body, **members, "inputs": {**body["inputs"], **(inputs or {})}}


def fill(protein: Protein, chance: random.Random) -> list[Body]:
    """Masked residues, one step for each. More steps than that, no matter; a track of masks is no track."""
    count = chance.randrange(24, 40)
    body = _body(protein, "sequence", {"sequence": protein.masked(chance, count)}, num_steps=count)
    return [
        body,
        _with(body, num_steps=count + 7),
        _with(body, {"sasa": [0] * protein.n}),
        _with(body, condition_on_coordinates_only=False),
    ]


def banned(protein: Protein, chance: random.Random) -> list[Body]:
    """Some amino acids ruled out. Ids that are never sampled may be ruled out as well."""
    ids = chance.sample(AMINO_ACIDS, 3)
    body = _body(protein, "sequence", {"sequence": protein.masked(chance, 24)}, invalid_ids=ids)
    return [body, _with(body, invalid_ids=[*BREAK_IDS, *ids])]


def annotate(protein: Protein, chance: random.Random) -> list[Body]:
    """One track of a known sequence in one step. At one step neither order nor pace matters."""
    track = chance.choice(("secondary_structure", "sasa", "structure"))
    body = _body(protein, track, {"sequence": protein.tokens["sequence"]}, num_steps=1)
    inner = [MASK_STRUCTURE if track == "structure" else 0] * (protein.n - 2)
    blank = [4098, *inner, 4097] if track == "structure" else [0, *inner, 0]
    return [
        body,
        _with(body, schedule="linear"),
        _with(body, strategy="random"),
        _with(body, {track: blank}),
        _with(body, {"residue_annotation": [[0]] * protein.n}),
    ]


def function(protein: Protein, chance: random.Random) -> list[Body]:
    body = _body(protein, "function", {"sequence": protein.tokens["sequence"]}, temperature_annealing=True, num_steps=6)
    return [body, _with(body, invalid_ids=[5, 9])]


def pinned(protein: Protein, chance: random.Random) -> list[Body]:
    """As a newcomer asks: temperature 0 and the rest as the page has it, so that the sampler draws all the same."""
    inputs = {"sequence": protein.masked(chance, 30)}
    body = _body(protein, "sequence", inputs, num_steps=20, strategy="random", temperature_annealing=True)
    return [body, _with(body, {"secondary_structure": [0] * protein.n})]


def scaffold(protein: Protein, chance: random.Random) -> list[Body]:
    """Masked residues on a known structure with a gap. Its ends are overwritten; -1 is the mask."""
    structure = list(protein.tokens["structure"])
    gap = chance.randrange(1, protein.n - 12)
    structure[gap : gap + 10] = [MASK_STRUCTURE] * 10
    body = _body(protein, "sequence", {"sequence": protein.masked(chance, 24), "structure": structure})
    ends = [MASK_STRUCTURE, *structure[1:-1], MASK_STRUCTURE]
    return [
        body,
        _with(body, {"structure": [-1 if token == MASK_STRUCTURE else token for token in structure]}),
        _with(body, {"structure": ends}),
    ]


def annotated(protein: Protein, chance: random.Random) -> list[Body]:
    rows = [[0] * 16 for _ in range(protein.n)]
    for place in chance.sample(range(1, protein.n - 1), 5):
        rows[place][:2] = [chance.randrange(4, 1478), chance.randrange(4, 1478)]
    inputs = {"sequence": protein.masked(chance, 24), "residue_annotation": rows}
    return [_body(protein, "sequence", inputs, num_steps=4)]


def backbone(protein: Protein, chance: random.Random) -> list[Body]:
    """Masked residues on coordinates. Their structure tokens and side chains are not looked at."""
    atoms = np.random.default_rng(chance.randrange(2**32)).uniform(-50, 50, (protein.n, 37, 3)).astype(np.float32)
    inputs = {"sequence": protein.masked(chance, 24), "coordinates": _rows(atoms, _KNOWN_ATOMS)}
    body = _body(protein, "sequence", inputs)
    bare = [row[:3] for row in body["inputs"]["coordinates"]]
    return [
        body,
        _with(body, {"structure": protein.tokens["structure"]}),
        _with(body, {"coordinates": _rows(atoms, 4)}),
        _with(body, {"coordinates": bare}),
    ]


def _rows(atoms: "np.ndarray[Any, Any]", known: int) -> list[list[list[float | None]]]:
    unknown: list[float | None] = [None] * 3
    inner = [[*atom[:known], *([unknown] * (37 - known))] for atom in atoms[1:-1].astype(float).tolist()]
    return [[unknown] * 37, *inner, [unknown] * 37]


def sampled(protein: Protein, chance: random.Random) -> list[Body]:
    inputs = {"sequence": protein.masked(chance, 24)}
    return [_body(protein, "sequence", inputs, temperature=0.7, temperature_annealing=True)]


Kind = Callable[[Protein, random.Random], list[Body]]
_KINDS: Final[Mapping[Kind, int]] = {
    fill: 26,
    banned: 10,
    annotate: 28,
    function: 6,
    pinned: 12,
    scaffold: 12,
    annotated: 2,
    backbone: 2,
    sampled: 2,
}
SIBLINGS: Final[Sequence[Mapping[str, Any]]] = ({"top_p": 0.95}, {"top_p": 0.9}, {"invalid_ids": [11]})
"""One element changed, and it matters: top_p at temperature 0 does."""


def questions(seed: int) -> Iterator[Question]:
    """Without end, no two alike: of each protein, mutation and kind there is one, and some of its siblings."""
    chance = random.Random(seed)
    wild = [json.loads(path.read_text()) for path in sorted(PROTEINS.glob("*.json"))]
    seen: set[tuple[Any, ...]] = set()
    while True:
        kind = chance.choices(list(_KINDS), list(_KINDS.values()))[0]
        protein, name = _mutant(chance.choice(wild[1:] if kind is backbone else wild), chance)
        if (kind, name) in seen:
            continue
        seen.add((kind, name))
        bodies = kind(protein, chance)
        yield Question(kind.__name__, bodies)
        if kind in (fill, scaffold) and chance.random() < 0.2:
            for change in SIBLINGS:
                yield Question(kind.__name__, [_with(bodies[0], **change)])


def _mutant(wild: Mapping[str, Any], chance: random.Random) -> tuple[Protein, tuple[Any, ...]]:
    """The wild type itself now and then."""
    tokens = wild["tokens"]
    if chance.random() < 0.02:
        return Protein(wild["name"], tokens, 0), (wild["name"],)
    place = chance.randrange(1, len(tokens["sequence"]) - 1)
    other = chance.choice([token for token in AMINO_ACIDS if token != tokens["sequence"][place]])
    sequence = [*tokens["sequence"][:place], other, *tokens["sequence"][place + 1 :]]
    return Protein(wild["name"], {**tokens, "sequence": sequence}, place), (wild["name"], place, other)
