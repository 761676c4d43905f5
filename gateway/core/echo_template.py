"""Answers shared by calls that differ in their inputs: the part they have in common, and each call's own inputs in it.

Needed at `cache.level = "sampler"` only; at level `wire` all three functions below leave an answer as it is.

An answer of generate_tensor echoes its inputs. Where a rule lets calls with different inputs share an answer, a
*template* is stored: the answer with null in place of each echo. If the upstream echoes anything but what it was sent,
there is no template, and the answer is for calls with the same inputs alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import orjson

from gateway.core.tracks import INPUTS, RESIDUE_ANNOTATION
from gateway.core.types import Answer, Call

ABSENT_WIDTH = RESIDUE_ANNOTATION.depth
"""Zeros in each row that the published sampler answers for absent annotations (esm/utils/generation.py)."""


def shareable(call: Call, answer: Answer) -> Answer:
    """What other calls with the same cache key may have of this answer; `only_for` says if that is nothing."""
    if call.template_track is None or answer.is_template:
        return answer
    template = strip_echo(call, answer.body)
    if template is None:
        return replace(answer, only_for=call.canonical_digest)
    return replace(answer, body=template, compressed=None, is_template=True)


def for_call(call: Call, answer: Answer) -> Answer:
    """A shared answer as this call gets it."""
    if not answer.is_template:
        return answer
    return replace(answer, body=fill(call, answer.body), compressed=None, is_template=False)


def fits(call: Call, answer: Answer) -> bool:
    """Whether this call may have a shared answer at all."""
    return answer.only_for in (b"", call.canonical_digest)


def strip_echo(call: Call, body: bytes) -> bytes | None:
    """The answer without the inputs it echoes; None where the echo is not what this call sent.

    Annotations are replaced by what a call without any gets: null, or the width of its rows of zeros.
    """
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    outputs, inputs = _outputs(tree), orjson.loads(call.body)["inputs"]
    if outputs is None or call.template_track is None or outputs.get(call.template_track) is None:
        return None
    for name in INPUTS:
        if name == call.template_track:
            continue
        if name not in outputs:
            if inputs[name] is not None:
                return None
        elif not _is_echo(name, outputs[name], inputs[name], call.length):
            return None
        else:
            outputs[name] = _placeholder(name, outputs[name], inputs[name])
    return orjson.dumps(tree)


def fill(call: Call, template: bytes) -> bytes:
    """The template with this call's own inputs."""
    tree, inputs = orjson.loads(template), orjson.loads(call.body)["inputs"]
    outputs = _outputs(tree)
    assert outputs is not None
    for name in INPUTS:
        if name == call.template_track or (name not in outputs and inputs[name] is None):
            continue
        if name == RESIDUE_ANNOTATION.name and inputs[name] is None and outputs[name] is not None:
            outputs[name] = [[0] * outputs[name]] * call.length
        else:
            outputs[name] = inputs[name]
    return orjson.dumps(tree)


def _outputs(tree: Any) -> dict[str, Any] | None:
    """The tracks of an answer, which older front ends wrap into `data` (the SDK unwraps it likewise)."""
    if isinstance(tree, Mapping) and "outputs" not in tree:
        tree = tree.get("data")
    found = tree.get("outputs") if isinstance(tree, Mapping) else None
    return found if isinstance(found, dict) else None


def _is_echo(name: str, output: Any, sent: Any, length: int) -> bool:
    if output == sent:
        return True
    if name == "coordinates":
        return _same_coordinates(output, sent)
    return name == RESIDUE_ANNOTATION.name and sent is None and _all_zero(output, length)


def _same_coordinates(one: Any, other: Any) -> bool:
    try:
        with np.errstate(over="ignore"):
            a, b = (np.array(each, dtype=np.float64).astype(np.float32) for each in (one, other))
    except (TypeError, ValueError):
        return False
    return a.ndim == 3 and np.array_equal(a, b, equal_nan=True)


def _all_zero(rows: Any, length: int) -> bool:
    if not isinstance(rows, list) or len(rows) != length or not isinstance(rows[0], list):
        return False
    return bool(rows == [[0] * len(rows[0])] * length)


def _placeholder(name: str, output: Any, sent: Any) -> int | None:
    if name != RESIDUE_ANNOTATION.name:
        return None
    return ABSENT_WIDTH if sent is not None else None if output is None else len(output[0])
