"""The part of an answer that callers with different spellings share, and each caller's own inputs around it.

An answer of generate_tensor echoes the inputs as given. Where a rule lets two spellings share an answer, what is kept
is the *frame*: the answer with null in the place of each echo. An upstream that echoes anything but what it was sent
is not understood well enough for that, so its answer has no frame and belongs to its own spelling alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from gateway.core.tracks import INPUTS, RESIDUE_ANNOTATION
from gateway.core.types import Call

WIDTH = RESIDUE_ANNOTATION.depth
"""Zeros in a row that the published sampler gives for absent annotations (esm/utils/generation.py)."""


def strip_echo(call: Call, body: bytes) -> bytes | None:
    """The answer without the inputs it echoes; None where the echo is not what this call sent.

    In the place of the annotations stands what a caller without any gets: null, or the width of rows of zeros.
    """
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    outputs, own = _outputs(tree), orjson.loads(call.body)["inputs"]
    if outputs is None or call.template_track is None or outputs.get(call.template_track) is None:
        return None
    for name in INPUTS:
        if name == call.template_track:
            continue
        if name not in outputs:
            if own[name] is not None:
                return None
        elif not _is_echo(name, outputs[name], own[name], call.length):
            return None
        else:
            outputs[name] = _instead(name, outputs[name], own[name])
    return orjson.dumps(tree)


def fill(call: Call, strip_echo: bytes) -> bytes:
    """The answer as this call's caller gets it: the frame with the caller's own inputs."""
    tree, own = orjson.loads(strip_echo), orjson.loads(call.body)["inputs"]
    outputs = _outputs(tree)
    assert outputs is not None
    for name in INPUTS:
        if name == call.template_track or (name not in outputs and own[name] is None):
            continue
        if name == RESIDUE_ANNOTATION.name and own[name] is None and outputs[name] is not None:
            outputs[name] = [[0] * outputs[name]] * call.length
        else:
            outputs[name] = own[name]
    return orjson.dumps(tree)


def _outputs(tree: Any) -> dict[str, Any] | None:
    """The tracks of an answer, which older front ends wrap into `data` (the SDK lifts it likewise)."""
    if isinstance(tree, Mapping) and "outputs" not in tree:
        tree = tree.get("data")
    found = tree.get("outputs") if isinstance(tree, Mapping) else None
    return found if isinstance(found, dict) else None


def _is_echo(name: str, said: Any, own: Any, n: int) -> bool:
    if said == own:
        return True
    if name == "coordinates":
        return _same_atoms(said, own)
    return name == RESIDUE_ANNOTATION.name and own is None and _zeros(said, n)


def _same_atoms(said: Any, own: Any) -> bool:
    try:
        with np.errstate(over="ignore"):
            mine, theirs = (np.array(each, dtype=np.float64).astype(np.float32) for each in (own, said))
    except (TypeError, ValueError):
        return False
    return mine.ndim == 3 and np.array_equal(mine, theirs, equal_nan=True)


def _zeros(said: Any, n: int) -> bool:
    if not isinstance(said, list) or len(said) != n or not isinstance(said[0], list):
        return False
    return bool(said == [[0] * len(said[0])] * n)


def _instead(name: str, said: Any, own: Any) -> int | None:
    if name != RESIDUE_ANNOTATION.name:
        return None
    return WIDTH if own is not None else None if said is None else len(said[0])
