"""What the sandbox remembers of the calls that it got: enough to judge the gateway by, and no secrets."""

import asyncio
import hashlib
import json
from typing import Any

import pytest

from gateway.core.tracks import ATOMS
from gateway.sandbox.record import KEPT_CALLS, CallLog


def test_a_call_is_remembered_as_it_was_received_without_its_credential(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        request = request_for()
        sent = json.dumps(request).encode()
        await upstream.post("generate_tensor", sent)
        reply = await upstream.send("GET", "/__sandbox/calls")
        assert b"upstream-key" not in reply.body
        (call,) = reply.json["last"]
        assert call["body"] == request
        assert call["body_sha256"] == hashlib.sha256(sent).hexdigest()
        assert call["body_bytes"] == len(sent)
        assert (call["index"], call["endpoint"], call["status"], call["units"]) == (1, "generate_tensor", 200, 32)
        assert call["target"] == "/api/v1/generate_tensor"
        assert call["key"] == "0001"
        assert call["headers"]["Authorization"].endswith("0001")

    play(scenario)


@pytest.mark.parametrize("name", ["authorization", "AUTHORIZATION"])
def test_no_spelling_of_the_header_lets_a_credential_through(play: Any, name: str) -> None:
    async def scenario(upstream: Any) -> None:
        headers = {name: "Bearer upstream-key-0001"}
        assert (await upstream.send("POST", "/api/v1/fold", {}, headers)).status == 422
        record = await upstream.send("GET", "/__sandbox/calls")
        assert record.json["last"][0]["key"] == "0001"
        assert b"upstream-key" not in record.body

    play(scenario)


def test_short_credentials_are_told_apart_by_their_digest(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        await upstream.post("generate_tensor", request_for(), key="abc")
        (call,) = (await upstream.calls())["last"]
        assert call["key"] == hashlib.sha256(b"abc").hexdigest()[:8]

    play(scenario)


@pytest.mark.parametrize(
    ("key", "keys", "status"),
    [
        (None, None, 401),
        ("", None, 401),
        ("bad-key-1234", None, 401),
        ("anything", None, 200),
        ("known", frozenset({"known"}), 200),
        ("unknown", frozenset({"known"}), 401),
        ("bad-known", frozenset({"bad-known"}), 401),
    ],
)
def test_only_good_credentials_are_answered_and_all_are_counted(
    play: Any, request_for: Any, key: str | None, keys: Any, status: int
) -> None:
    async def scenario(upstream: Any) -> None:
        reply = await upstream.post("generate_tensor", request_for(), key=key)
        assert (reply.status, reply.headers["Content-Type"]) == (status, "application/json")
        calls = await upstream.calls()
        assert (calls["total"], calls["last"][0]["status"]) == (1, status)
        assert (calls["units"] > 0) == (status == 200)

    play(scenario, keys=keys)


SEQUENCE = [0, *[32] * 10, 2]
UNITS = [
    ("generate_tensor", {"track": "sequence", "num_steps": 4, "inputs": {"sequence": SEQUENCE}}, 4 * 12),
    ("generate_tensor", {"track": "sequence", "num_steps": 99, "inputs": {"sequence": SEQUENCE}}, 10 * 12),
    ("generate_tensor", {"track": "sasa", "num_steps": 99, "inputs": {"sequence": [0, 5, 31, 6, 2]}}, 2 * 5),
    ("generate", {"track": "sequence", "num_steps": 2, "inputs": {"sequence": "A___C"}}, 2 * 7),
    ("encode", {"inputs": {"sequence": "ACDEF"}}, 7),
    ("decode", {"inputs": {"sequence": SEQUENCE}}, 12),
    ("forward_and_sample", {"inputs": {"sequence": SEQUENCE}, "sampling_config": {}}, 12),
    ("logits", {"inputs": {"sequence": SEQUENCE}, "logits_config": {}}, 12),
    ("fold", {"sequence": "ACDEF"}, 7),
    ("inverse_fold", {"coordinates": [[[0.0] * 3] * ATOMS] * 5}, 7),
    ("msa?sequence=ACD%3AEF&use_env=false", {}, 8),
    ("fold_all_atom", {"all_atom_input": {"sequences": [{"sequence": "AC"}, {"sequence": "DEF"}]}}, 5),
]


@pytest.mark.parametrize(("endpoint", "body", "units"), UNITS)
def test_work_is_priced_by_steps_and_positions(play: Any, endpoint: str, body: Any, units: int) -> None:
    async def scenario(upstream: Any) -> None:
        reply = await upstream.post(endpoint, {"model": "esm3-open-2024-03", **body})
        assert reply.status == 200, reply.body
        calls = await upstream.calls()
        assert (calls["units"], calls["last"][0]["units"]) == (units, units)

    play(scenario)


def test_a_caller_who_hangs_up_is_counted_at_once_and_has_still_cost_the_work(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        await upstream.add_faults({"latency_s": 0.2})
        waiting = asyncio.create_task(upstream.post("generate_tensor", request_for()))
        calls = await upstream.until(lambda calls: calls["total"] == 1)
        assert (calls["in_flight"], calls["units"]) == (1, 0)
        waiting.cancel()
        calls = await upstream.until(lambda calls: calls["in_flight"] == 0)
        assert calls["units"] == 32

    play(scenario)


def test_calls_at_the_same_time_are_counted(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        waiting = [asyncio.create_task(upstream.post("generate_tensor", request_for())) for _ in range(5)]
        calls = await upstream.until(lambda calls: calls["in_flight"] == 5)
        assert (calls["max_concurrent"], calls["by_endpoint"]) == (5, {"generate_tensor": 5})
        for task in waiting:
            task.cancel()

    play(scenario, latency_s=30.0)


def test_counts_can_be_read_from_a_call_on_and_start_again(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        for _ in range(3):
            await upstream.post("encode", {"model": "m", "inputs": {"sequence": "A"}})
        assert [call["index"] for call in (await upstream.calls(since=1))["last"]] == [2, 3]
        assert (await upstream.send("GET", "/__sandbox/calls?since=x")).status == 422
        await upstream.send("DELETE", "/__sandbox/calls")
        assert await upstream.calls() == {
            "total": 0,
            "by_endpoint": {},
            "max_concurrent": 0,
            "in_flight": 0,
            "units": 0,
            "last": [],
        }
        await upstream.post("encode", {"model": "m", "inputs": {"sequence": "A"}})
        assert (await upstream.calls())["last"][0]["index"] == 1

    play(scenario)


def test_work_begun_before_a_reset_does_not_count_after_it() -> None:
    log = CallLog()
    entry = log.begin("fold", "/api/v1/fold", {}, b"{}")
    log.reset()
    log.work_done(entry, 100)
    log.end()
    assert (log.as_json()["units"], log.as_json()["total"], log.as_json()["in_flight"]) == (0, 0, 0)


def test_only_the_last_calls_are_kept_and_all_are_counted() -> None:
    log = CallLog()
    for _ in range(KEPT_CALLS + 10):
        log.begin("fold", "/api/v1/fold", {}, b"{}")
        log.end()
    record = log.as_json()
    assert record["total"] == KEPT_CALLS + 10
    assert [record["last"][0]["index"], record["last"][-1]["index"]] == [11, KEPT_CALLS + 10]


def test_large_bodies_are_let_go_before_they_fill_the_memory() -> None:
    log = CallLog()
    large = b"[" + b" " * (20 * 1024 * 1024) + b"1]"
    for body in (b"[0]", large, large):
        log.begin("fold", "/api/v1/fold", {}, body)
        log.end()
    last = log.as_json()["last"]
    assert [call["body"] for call in last] == [None, None, [1]]
    assert last[1]["body_sha256"] == hashlib.sha256(large).hexdigest()


def test_a_body_that_is_no_json_is_remembered_by_its_digest(play: Any) -> None:
    async def scenario(upstream: Any) -> None:
        await upstream.post("fold", b"{")
        (call,) = (await upstream.calls())["last"]
        assert (call["body"], call["status"], call["body_bytes"]) == (None, 400, 1)

    play(scenario)


def test_other_paths_and_methods_are_not_calls(play: Any) -> None:
    async def scenario(upstream: Any) -> None:
        assert (await upstream.post("train", {})).status == 404
        assert (await upstream.send("GET", "/api/v1/fold")).status == 405
        assert (await upstream.calls())["total"] == 0

    play(scenario)
