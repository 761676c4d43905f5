"""The sandbox answers what the gateway forwards: every endpoint of the one is an endpoint of the other."""

import json
from typing import Any

import pytest

from gateway.endpoints import ENDPOINTS
from gateway.sandbox.answers import ENDPOINTS as ANSWERS
from gateway.sandbox.faults import Rule
from tests.endpoints.examples import call, example, least

NAMES = [endpoint.name for endpoint in ENDPOINTS]


def test_the_sandbox_has_an_answer_for_every_endpoint_and_for_no_other() -> None:
    missing, spare = {*NAMES} - ANSWERS.keys(), ANSWERS.keys() - {*NAMES}
    assert not missing, f"gateway/sandbox/answers.py needs a function for {sorted(missing)}; without it calls get a 422"
    assert not spare, f"gateway/sandbox/answers.py answers {sorted(spare)}, which are not in gateway/endpoints/"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_forwarded_is_answered_for_no_more_than_its_price(play: Any, name: str) -> None:
    forwarded = call(name, least(name), example(name).query)

    async def scenario(upstream: Any) -> None:
        reply = await upstream.post(forwarded.target.removeprefix("/api/v1/"), json.loads(forwarded.body))
        assert reply.status == 200, reply.body
        assert 0 < (await upstream.calls())["units"] <= forwarded.units

    play(scenario)


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_can_be_ordered_for_every_endpoint(name: str) -> None:
    assert Rule(endpoint=name).matches(name, "any-key")
