"""What a person reads when the demo is ready: where it is, the key, and two ways to ask it for a protein."""

import json
from collections.abc import Mapping
from pathlib import Path

MODEL = "esm3-open-2024-03"
# The first residues of ubiquitin (UniProt P0CG48) with five of them masked: 0 begins, 2 ends, 32 is a mask.
SEQUENCE = [0, 20, 16, 12, 18, 32, 15, 11, 32, 11, 6, 32, 11, 12, 11, 32, 9, 32, 9, 14, 2]
BODY = {
    "model": MODEL,
    "track": "sequence",
    "inputs": {"sequence": SEQUENCE},
    "num_steps": 3,
    "temperature": 0,
    "strategy": "entropy",
    "temperature_annealing": False,
}


def curl(url: str, key: str) -> str:
    """A call that anybody can paste; the second time its answer comes from the cache."""
    return (
        f"curl -sS -i {url}/api/v1/generate_tensor \\\n"
        f"  -H 'Authorization: Bearer {key}' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(BODY, separators=(',', ':'))}'"
    )


def snippet(url: str, key: str) -> str:
    """The same question with the official SDK."""
    return "\n".join(
        (
            "from esm.sdk import client",
            "from esm.sdk.api import ESMProtein, GenerationConfig",
            "",
            f'model = client(model="{MODEL}", url="{url}", token="{key}")',
            'protein = model.encode(ESMProtein(sequence="MQIF_KT_TG_TIT_E_EP"))',
            "config = GenerationConfig(",
            '    track="sequence", num_steps=3, temperature=0, strategy="entropy", temperature_annealing=False',
            ")",
            "print(model.decode(model.generate(protein, config)).sequence)",
        )
    )


def for_people(told: Mapping[str, object], directory: Path) -> str:
    url, key = str(told["url"]), str(told["key"])
    parts = (
        f"The gateway is ready at {url}, in front of a stand-in upstream (no weights, made-up answers).",
        f"Virtual key:                        {key}\nOne approved for sequences of concern: {told['approved_key']}",
        f"Ask it. The second time, Cache-Status says that the answer was kept:\n\n{_indented(curl(url, key))}",
        f"With the SDK (pip install esm):\n\n{_indented(snippet(url, key))}",
        f"Metrics:     {told['metrics_url']}\n"
        f"Upstream:    {told['sandbox_url']}/__sandbox/calls\n"
        f"Access log:  {directory / 'access.jsonl'}\n"
        f"Commands:    esm-gateway usage --config {directory / 'gateway.toml'}   (or keys list, audit tail, ...)",
        "Ctrl-C ends it; the same command finds keys, quotas and cache again.",
    )
    return "\n\n".join(("", *parts, ""))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())
