"""What the real SDK does with an answer, read from its source (esm 3.2.1 and 3.4.1) and written down again.

`prepare_data` (esm/sdk/base_forge_client.py, esm/sdk/forge.py) parses with Python's json, which keeps the last of
repeated members, lifts `data` where there is no `outputs`, and prints the warnings. `_process_logits_response` decodes
and unpickles each of its members that is a text. A later release may look deeper, so here every text inside counts.
"""

import json
from collections.abc import Iterator
from typing import Any

UNPICKLED = ("logits", "embeddings", "hidden_states", "sae_outputs", "mean_embedding", "mean_hidden_state")


def read(content: bytes) -> Any:
    """The value that the SDK goes on with."""
    data = json.loads(content)
    return data["data"] if "outputs" not in data and "data" in data else data


def unpickled(content: bytes) -> list[str]:
    """Every text that this or another release may unpickle."""
    data = read(content)
    if not isinstance(data, dict):
        return []  # the SDK fails on it
    return [text for name in UNPICKLED if name in data for text in texts(data[name])]


def printed(content: bytes) -> list[str]:
    """What it writes to the terminal."""
    data = read(content)
    warnings = data.get("warning_messages") if isinstance(data, dict) else None
    if isinstance(warnings, bool | int | float):
        return []  # the SDK fails on it and prints nothing
    return [] if warnings is None else [str(message) for message in warnings]


def texts(value: Any) -> Iterator[str]:
    """Every text in a value, names of members aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
