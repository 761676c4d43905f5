"""The recorded exchanges of the real SDK (tests/wire), as calls of this gateway with the answers that they got."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway import endpoints
from gateway.core import sampler_checks
from gateway.core.endpoint import ParseConfig
from gateway.core.types import Call

WIRE = Path(__file__).parents[2] / "tests" / "wire"
MODELS = {"esm3-open-2024-03": 1.0, "esmc-300m-2024-12": 0.5}
# The recording server answered a call that the sampler fails on.
RULES = ParseConfig(MODELS, skipped_checks=sampler_checks.NAMES)


@dataclass(frozen=True, slots=True)
class Recording:
    """One exchange. `pickled`: the recording server sent tensors as texts, as it was asked to by a header that the
    gateway does not pass on."""

    name: str
    call: Call
    asked: Mapping[str, Any]
    answer: Mapping[str, Any]
    pickled: bool


def recordings() -> list[Recording]:
    """All successes, in the order of their files."""
    return [
        found
        for path in sorted(WIRE.glob("*.json"))
        for exchange in orjson.loads(path.read_bytes())["exchanges"]
        if exchange["response"]["status"] == 200 and (found := _recording(path.stem, exchange))
    ]


def of_endpoint(name: str) -> list[Recording]:
    """Those of one endpoint that came as plain JSON."""
    return [found for found in recordings() if found.call.endpoint == name and not found.pickled]


def _recording(name: str, exchange: Mapping[str, Any]) -> Recording | None:
    path, _, query = exchange["request"]["target"].partition("?")
    endpoint = endpoints.find(path)
    if endpoint is None:
        return None
    call = endpoint.parse(orjson.dumps(exchange["request"]["body"]), query, RULES)
    answer = exchange["response"]["body"]
    return Recording(name, call, orjson.loads(call.body), answer, isinstance(answer.get("logits"), str))
