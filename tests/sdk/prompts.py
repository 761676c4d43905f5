"""Real proteins as the SDK's own values, with a part of the generated track masked."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from esm.sdk.api import ESMProteinTensor, GenerationConfig

NAMES = ("ubiquitin", "lysozyme", "gfp", "insulin")
TRACKS = ("sequence", "structure", "secondary_structure", "sasa", "function")
MASK = {"sequence": 32, "structure": 4096, "secondary_structure": 0, "sasa": 0, "function": 0}
FOLDER = Path(__file__).resolve().parents[1] / "proteins"
STEPS = 4


@dataclass(frozen=True, slots=True)
class Protein:
    name: str
    sequence: str
    tokens: dict[str, Any]


@cache
def protein(name: str) -> Protein:
    told = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return Protein(name, told["sequence"], told["tokens"])


def masked_positions(length: int) -> list[int]:
    """Every third residue; position 0 and the last are BOS and EOS and are never generated."""
    return list(range(3, length + 1, 3))


def prompt(name: str, track: str) -> ESMProteinTensor:
    """The sequence, and the generated track with every third residue masked."""
    known = protein(name)
    generated = torch.tensor(known.tokens[track])
    generated[masked_positions(len(known.sequence))] = MASK[track]
    tensor = ESMProteinTensor(sequence=torch.tensor(known.tokens["sequence"]))
    setattr(tensor, track, generated)
    return tensor


def greedy(track: str) -> GenerationConfig:
    """Temperature 0, in the shape for which the sampler gives the same tokens every time.

    The function track divides by the temperature unless it is annealed, so 0 without annealing is an error.
    """
    return GenerationConfig(
        track=track,
        strategy="entropy",
        num_steps=STEPS,
        temperature=0.0,
        temperature_annealing=track == "function",
    )
