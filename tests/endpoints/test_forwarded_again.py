"""What goes upstream is itself a body that the gateway reads as the same call: its record can be read in anywhere."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import endpoints
from gateway.core.endpoint import ParseConfig
from gateway.core.types import Call
from tests.endpoints.examples import WIRE, call
from tests.endpoints.meanings import SEEDS, Meaning, meanings, said

# The SDK asks for the function track in a way that the sampler divides by zero on; that is refused here.
EXCHANGES = sorted(path for path in WIRE.glob("*.json") if "_tensor_function" not in path.name)
OTHER_DEFAULTS = "2024-06-25"


def again(read: Call) -> Call:
    """The call that the forwarded bytes are, on a gateway with other defaults and another price list."""
    endpoint = endpoints.find(f"/api/v1/{read.endpoint}")
    assert endpoint is not None
    rules = ParseConfig({read.model: 1.0}, defaults=OTHER_DEFAULTS)
    return endpoint.parse(read.body, read.target.partition("?")[2], rules)


def same(one: Call, other: Call) -> bool:
    facts = [
        (c.endpoint, c.target, c.model, c.flagged, c.body, c.canonical_digest, c.determinism) for c in (one, other)
    ]
    return facts[0] == facts[1]


@pytest.mark.parametrize("path", EXCHANGES, ids=lambda path: path.stem)
def test_what_the_sdk_sends_is_the_same_call_when_it_comes_again_as_it_was_forwarded(path: Path) -> None:
    for exchange in json.loads(path.read_text())["exchanges"]:
        request = exchange["request"]
        name, _, query = request["target"].removeprefix("/api/v1/").partition("?")
        rules = ParseConfig({request["body"].get("model", ""): 1.0})
        read = call(name, request["body"], query, rules)
        assert same(again(read), read)


@settings(max_examples=300, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(meanings(), st.data())
def test_any_generation_is_the_same_call_when_it_comes_again_as_it_was_forwarded(
    meaning: Meaning, draw: st.DataObject
) -> None:
    read = call("generate_tensor", said(meaning, draw.draw(SEEDS)))
    assert same(again(read), read)
    assert not same(again(read), replace(read, canonical_digest=b""))
