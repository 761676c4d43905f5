"""Whether an answer is the answer to what was asked, known without asking the product.

The stand-in upstream writes the digest of the question that it answered into its answer. Beside that the answer must
carry the asker's own inputs, keep what was not masked, and be the same to everybody who asks the same.
"""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import orjson

from bench.notebook import MASK, Body
from gateway.sandbox.question import digest

__all__ = ["Judge", "digest", "fault_of"]


def fault_of(body: Body, answer: Mapping[str, Any], expected: Collection[int]) -> str | None:
    """What is wrong with this answer to this body; None: nothing. `expected`: digests that it may carry."""
    if answer.get("question") not in expected:
        return "it answers another question"
    outputs, track = answer["outputs"], body["track"]
    for name, given in body["inputs"].items():
        if name != track and not _echoes(name, given, outputs[name]):
            return f"its {name} is not the asker's"
    given = body["inputs"][track]
    if track == "sequence" and given is not None:
        drawn = outputs[track]
        if len(drawn) != len(given) or any(g not in (MASK, d) or d == MASK for g, d in zip(given, drawn, strict=True)):
            return "what was not masked has changed, or a mask is left"
    return None


def _echoes(name: str, given: Any, told: Any) -> bool:
    if name == "residue_annotation":
        return _annotations(given) == _annotations(told)
    if name == "coordinates" and given is not None:
        return told is not None and np.array_equal(_atoms(given), _atoms(told), equal_nan=True)
    return bool(given == told)


def _annotations(rows: list[list[int]] | None) -> list[list[int]]:
    kept = [[number for number in row if number] for row in rows or ()]
    return kept if any(kept) else []


def _atoms(rows: Any) -> Any:
    return np.array(rows, dtype=np.float64).astype(np.float32)


class Judge:
    """Judges all answers of one side, and counts. A class is what should have been computed once."""

    def __init__(self) -> None:
        self.answered = 0
        self.refused: dict[str, int] = {}
        self.wrong: dict[str, int] = {}
        self.differing = 0
        self.draws_repeated = 0
        self._first: dict[Any, bytes] = {}
        self._draws: set[bytes] = set()

    def judge(self, body: Body, cls: Any, expected: Collection[int], status: int, text: bytes) -> None:
        """`cls` None: sampled, so that every answer should be another."""
        if status != 200:
            self.refused[str(status)] = self.refused.get(str(status), 0) + 1
            return
        self.answered += 1
        answer = orjson.loads(text)
        fault = fault_of(body, answer, expected)
        if fault is not None:
            self.wrong[fault] = self.wrong.get(fault, 0) + 1
            return
        track = hashlib.sha256(orjson.dumps(answer["outputs"][body["track"]])).digest()
        if cls is None:
            self.draws_repeated += track in self._draws
            self._draws.add(track)
        elif self._first.setdefault(cls, track) != track:
            self.differing += 1
