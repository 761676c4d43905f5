"""What the demo prints when it is ready: its address, the keys, and a call with curl and with the SDK."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

MODEL = "esm3-open-2024-03"
# The first residues of ubiquitin (UniProt P0CG48) with five of them masked: 0 is BOS, 2 is EOS, 32 is a mask.
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


def for_people(facts: Mapping[str, object], directory: Path) -> str:
    url, key = str(facts["url"]), str(facts["key"])
    keys = {"Virtual key": key, "Approved for sequences of concern": facts["approved_key"]}
    places = {
        "Metrics": facts["metrics_url"],
        "Upstream": f"{facts['sandbox_url']}/__sandbox/calls",
        "Access log": directory / "access.jsonl",
        "Units used": f"{_this_program()} usage --config {shlex.quote(str(directory / 'gateway.toml'))}",
    }
    parts = (
        f"The gateway is ready at {url}, in front of a sandbox upstream (no weights, made-up answers).",
        _aligned(keys),
        f"Ask it. The second time, Cache-Status says hit:\n\n{_indented(curl(url, key))}",
        f"With the SDK (pip install esm httpx):\n\n{_indented(snippet(url, key))}",
        _aligned(places),
        "Press Ctrl-C to stop. The next start finds keys, quotas and cache again.",
    )
    return "\n\n".join(("", *parts, ""))


def _this_program() -> str:
    """How this very program is called from where it was started: a bare `esm-gateway` may not be on the PATH."""
    words = (sys.executable, "-m", "gateway") if Path(sys.argv[0]).name == "__main__.py" else (sys.argv[0],)
    return shlex.join(words)


def _aligned(rows: Mapping[str, object]) -> str:
    width = max(map(len, rows)) + 1
    return "\n".join(f"{f'{label}:':<{width}}  {value}" for label, value in rows.items())


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())
