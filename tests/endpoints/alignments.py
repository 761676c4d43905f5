"""Alignments packed as the SDK packs them (esm/utils/compression.py, compress_state_dict), and in ways it does not."""

import base64
import json
from typing import Any

import zstandard


def packed(alignment: Any) -> str:
    """A value, or the text of one."""
    text = alignment if isinstance(alignment, bytes) else json.dumps(alignment).encode()
    return base64.b64encode(zstandard.compress(text)).decode()


def rows(count: int, residues: int = 6) -> list[str]:
    return ["ACDEFG"[:residues] for _ in range(count)]
