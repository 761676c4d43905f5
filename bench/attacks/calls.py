"""Bodies of the calls that attacks are made of: valid in form, small unless said, and distinct by number."""

import random
from typing import Any, Final

import orjson

ESM3: Final = "esm3-open-2024-03"
AMINO_ACIDS: Final = "LAGVSERTIDPKQNFYMHWC"
API: Final = "/api/v1/"
EXPLAIN: Final = "/gateway/v1/explain"


def letters(number: int, length: int = 60) -> str:
    """A protein of its own for each number."""
    return "".join(random.Random(number).choices(AMINO_ACIDS, k=length))


def tokens(number: int, length: int = 60) -> list[int]:
    """A protein in tokens, half of it masked."""
    drawn = random.Random(number).choices(range(4, 24), k=length)
    return [0, *(32 if index % 2 else token for index, token in enumerate(drawn)), 2]


def generate(sequence: str, **more: Any) -> bytes:
    """A call of generate, in letters."""
    body = {"model": ESM3, "track": "sequence", "num_steps": 2, "inputs": {"sequence": sequence}, **more}
    return orjson.dumps(body)


def generate_tensor(number: int, **more: Any) -> bytes:
    """A call whose answer is kept (temperature 0, entropy, no annealing)."""
    settled = {"temperature": 0, "strategy": "entropy", "temperature_annealing": False}
    body = {"model": ESM3, "track": "sequence", "num_steps": 2, "inputs": {"sequence": tokens(number)}, **settled}
    return orjson.dumps({**body, **more})


def fold(number: int, **more: Any) -> bytes:
    return orjson.dumps({"model": ESM3, "sequence": letters(number), **more})


def logits(number: int, **more: Any) -> bytes:
    return orjson.dumps({"model": ESM3, "inputs": {"sequence": tokens(number)}, **more})


def encode(number: int, **more: Any) -> bytes:
    inputs = {"sequence": letters(number), **more}
    return orjson.dumps({"model": ESM3, "inputs": inputs})
