"""Tokens and numbers drawn from a seed: the same seed gives the same answer, in every process and for ever.

A seed is the digest of what was asked, or fresh chance. The draws are meant to be valid and cheap, not to look like
a protein.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.core.tracks import ATOMS

Floats = NDArray[np.float64]

_RISE_PER_RESIDUE = 1.5
_RADIUS = 2.3
_KNOWN_ATOMS = 5
_TURN_PER_RESIDUE = np.deg2rad(100.0)


def seed_of(*facts: object) -> bytes:
    """The digest of facts that JSON can say, independent of the order of members."""
    return hashlib.blake2b(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS), digest_size=32).digest()


def fresh_seed() -> bytes:
    return os.urandom(32)


def derive(seed: bytes, name: str) -> bytes:
    """An independent seed for another part of the same answer."""
    return hashlib.blake2b(name.encode(), key=seed, digest_size=32).digest()


def pick(seed: bytes, candidates: Sequence[int], count: int) -> list[int]:
    """`count` ids out of `candidates`; 16 random bits for each, so at most 65,536 candidates."""
    size = len(candidates)
    bits = memoryview(hashlib.shake_256(seed).digest(2 * count)).cast("H")
    return [candidates[bit % size] for bit in bits]


def numbers(seed: bytes, shape: tuple[int, ...], low: float, high: float) -> Floats:
    """Finite numbers with four decimals, as short JSON as the real service sends."""
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(seed[:16], "little")))
    return np.round(generator.uniform(low, high, shape), 4)


def coordinates(seed: bytes, residues: int) -> Floats:
    """[residues][37][3] ångström: a helix, N, CA, C, CB and O near their residue, the other atoms unknown (NaN)."""
    angle = np.arange(residues) * _TURN_PER_RESIDUE
    rise = np.arange(residues) * _RISE_PER_RESIDUE
    axis = np.stack([_RADIUS * np.cos(angle), _RADIUS * np.sin(angle), rise], axis=1)
    moved: Floats = axis[:, None, :] + numbers(seed, (residues, ATOMS, 3), -2.0, 2.0)
    moved[:, _KNOWN_ATOMS:, :] = np.nan
    return np.round(moved, 4)


def confidence(seed: bytes, residues: int) -> dict[str, Any]:
    """How sure the model says it is, of each residue and of the whole."""
    plddt = numbers(derive(seed, "plddt"), (residues,), 0.5, 1.0)
    return {"plddt": plddt, "ptm": float(numbers(derive(seed, "ptm"), (1,), 0.5, 1.0)[0])}
