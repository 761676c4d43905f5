"""The sandbox answers what the real SDK was seen to send, in the form that the SDK was seen to accept."""

from pathlib import Path
from typing import Any

import pytest

CASES = sorted(path.stem for path in (Path(__file__).parent.parent / "wire").glob("*.json"))
# The recording server sent tensors as base64; plain lists are the other form that both SDK versions read.
AS_BYTES = [case for case in CASES if case.endswith(("logits_bytes_json", "esmc_logits"))]
# The recording server answered what the sampler fails on.
FAILS = [case for case in CASES if case.endswith("generate_tensor_function")]
PLAIN = [case for case in CASES if case not in AS_BYTES + FAILS]


def shape(value: Any) -> Any:
    """Keys, lengths and kinds without the values."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(element) for element in value]
    if value is None or isinstance(value, bool):
        return value
    return "text" if isinstance(value, str) else "number"


def fault_of(response: dict[str, Any]) -> dict[str, Any]:
    """What the recording server was told to do beyond answering."""
    body, fault = response["body"], {}
    if response["status"] != 200:
        retry_after = int(response["headers"]["Retry-After"])
        return {"status": response["status"], "retry_after": retry_after}
    if "data" in body:
        fault["wrap_data"] = True
    if "warning_messages" in body:
        fault["warning_messages"] = body["warning_messages"]
    return fault


def with_zeros(exchange: dict[str, Any]) -> Any:
    """The recorded answer as the sampler gives it: absent residue annotations are zeros, where the server had null."""
    body = exchange["response"]["body"]
    outputs = body.get("data", body).get("outputs", {})
    if "generate_tensor" in exchange["request"]["target"] and outputs:
        outputs["residue_annotation"] = outputs["residue_annotation"] or [[0] * 16] * 8
    return body


@pytest.mark.parametrize("case", PLAIN)
def test_a_recorded_request_gets_an_answer_of_the_recorded_form(play: Any, wire: Any, case: str) -> None:
    async def scenario(upstream: Any) -> None:
        for exchange in wire(case):
            request, recorded = exchange["request"], exchange["response"]
            endpoint = request["target"].removeprefix("/api/v1/")
            reply = await upstream.post(endpoint, request["body"], fault=fault_of(recorded))
            assert reply.status == recorded["status"]
            assert reply.headers["Content-Type"] == "application/json"
            assert reply.headers.get("Retry-After") == recorded["headers"].get("Retry-After")
            if recorded["status"] == 200:
                assert shape(reply.json) == shape(with_zeros(exchange))

    play(scenario)


@pytest.mark.parametrize("case", AS_BYTES)
def test_logits_come_as_lists_also_to_a_client_that_would_take_bytes(play: Any, wire: Any, case: str) -> None:
    exchange = wire(case)[0]

    async def scenario(upstream: Any) -> None:
        reply = await upstream.post("logits", exchange["request"]["body"])
        assert reply.headers["Content-Type"] == "application/json"
        assert set(reply.json) == set(exchange["response"]["body"])
        assert len(reply.json["logits"]["sequence"][0]) == 8
        assert len(reply.json["embeddings"][0]) == 8

    play(scenario)


@pytest.mark.parametrize("case", FAILS)
def test_function_at_temperature_0_needs_annealing(play: Any, wire: Any, case: str) -> None:
    exchange = wire(case)[0]
    body = exchange["request"]["body"]

    async def scenario(upstream: Any) -> None:
        refused = await upstream.post("generate_tensor", body)
        assert (refused.status, list(refused.json)) == (500, ["error"])
        reply = await upstream.post("generate_tensor", {**body, "temperature_annealing": True})
        assert shape(reply.json) == shape(with_zeros(exchange))

    play(scenario)


def test_unsampled_tracks_come_back_as_given(play: Any, wire: Any) -> None:
    body = wire("321_generate_tensor_all_inputs")[0]["request"]["body"]

    async def scenario(upstream: Any) -> None:
        outputs = await upstream.outputs(body)
        for name, given in body["inputs"].items():
            assert name == body["track"] or outputs[name] == given

    play(scenario)
