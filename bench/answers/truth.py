"""What is hollow, said plainly, answer by answer: slow, on parsed values, for the recorded calls alone.

Everything here must also be seen by the gateway. It may see more.
"""

from collections.abc import Mapping
from typing import Any

from bench.answers.recordings import Recording

# Mask and sampled ids of each track.
TOKENS = {
    "sequence": (32, range(4, 31)),
    "structure": (4096, range(4096)),
    "secondary_structure": (0, range(3, 11)),
    "sasa": (0, range(3, 19)),
    "function": ([0] * 8, range(260)),
}


def hollow(recording: Recording, data: Any) -> str:
    """Why this answer must not be kept; "" where nothing speaks against it."""
    if not isinstance(data, dict):
        return "no object"
    try:
        return str(_BY_ENDPOINT[recording.call.endpoint](recording.asked, data, recording.call.length) or "")
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        return f"not to be read: {type(error).__name__}"


def _generate_tensor(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    track, outputs = asked["track"], data["outputs"]
    mask, ids = TOKENS[track]
    found, given = outputs[track], asked["inputs"][track]
    if len(found) != n:
        return "length"
    for i in range(1, n - 1):
        drawn = given is None or given[i] == mask
        if found[i] == mask and drawn:
            return "masked"
        numbers = found[i] if isinstance(found[i], list) else [found[i]]
        if drawn and not all(type(number) is int and number in ids for number in numbers):
            return "ids"
        if not drawn and found[i] != given[i]:
            return "changed"
    # Structure is discarded where coordinates take its place.
    atoms = asked["inputs"]["coordinates"] is not None and asked["condition_on_coordinates_only"]
    for name, sent in asked["inputs"].items():
        if name == "structure" and atoms:
            continue
        if name not in (track, "coordinates", "residue_annotation") and sent is not None and outputs[name] != sent:
            return "echo"
    if asked["inputs"]["coordinates"] is not None and len(outputs["coordinates"]) != n:
        return "echo"
    return ""


def _generate(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    outputs, given = data["outputs"], asked["inputs"]["sequence"]
    if asked["track"] == "structure":
        return "" if len(outputs["coordinates"]) == n - 2 and outputs["coordinates"][0][0] else "coordinates"
    letters = outputs["sequence"]
    kept = all(one in ("_", other) for one, other in zip(given, letters, strict=True))
    return "" if kept and "_" not in letters else "sequence"


def _encode(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    tokens = data["outputs"]["sequence"]
    return "" if len(tokens) == n and all(type(token) is int and 0 <= token <= 32 for token in tokens) else "sequence"


def _decode(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    letters = data["outputs"]["sequence"]
    return "" if isinstance(letters, str) and len(letters) == n - 2 else "sequence"


def _forward_and_sample(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    wanted = [name for name, config in asked["sampling_config"].items() if config is not None]
    embeddings = asked.get("embedding_config") or {}
    if any(len(data[name]["tokens"]) != n for name in wanted):
        return "tokens"
    return "embeddings" if embeddings.get("per_residue") and len(data["embeddings"]["per_residue"]) != n else ""


def _logits(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    if len(data["logits"]["sequence"][0]) != n:
        return "logits"
    wanted = asked["logits_config"]["return_embeddings"]
    return "embeddings" if wanted and len(data["embeddings"][0]) != n else ""


def _fold(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    return "" if len(data["coordinates"]) == n - 2 and data["coordinates"][0][0] else "coordinates"


def _fold_all_atom(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    found = data["complex"]
    return (
        "" if len(found["sequence"]) == n == len(found["token_to_atoms"]) and found["atom_positions"][0] else "complex"
    )


def _inverse_fold(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    letters = data["sequence"]
    return "" if isinstance(letters, str) and len(letters) == n - 2 and "_" not in letters else "sequence"


def _msa(asked: Mapping[str, Any], data: Mapping[str, Any], n: int) -> Any:
    rows = data["msa"]
    return "" if isinstance(rows, list) and rows and all(isinstance(row, str) and row for row in rows) else "msa"


_BY_ENDPOINT = {
    "generate_tensor": _generate_tensor,
    "generate": _generate,
    "encode": _encode,
    "decode": _decode,
    "forward_and_sample": _forward_and_sample,
    "logits": _logits,
    "fold": _fold,
    "fold_all_atom": _fold_all_atom,
    "inverse_fold": _inverse_fold,
    "msa": _msa,
}
