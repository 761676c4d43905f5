"""Every kind of misbehaviour that tests may order, seen from the caller's side of the connection."""

import asyncio
from typing import Any

import aiohttp
import pytest


def slow(seconds: float) -> dict[str, Any]:
    return {"latency_s": seconds}


def test_a_status_with_its_retry_after_costs_nothing(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        reply = await upstream.post(
            "generate_tensor", request_for(), fault={"status": 429, "retry_after": 1, "body": "slow down"}
        )
        assert (reply.status, reply.headers["Retry-After"], reply.body) == (429, "1", b"slow down")
        assert (await upstream.calls())["units"] == 0

    play(scenario)


def test_a_status_without_words_is_short_json(play: Any, request_for: Any) -> None:
    reply = play(lambda upstream: upstream.post("generate_tensor", request_for(), fault={"status": 503}))
    assert (reply.status, reply.headers["Content-Type"]) == (503, "application/json")
    assert reply.json == {"error": "Service Unavailable"}


def test_rules_are_used_up_in_order_and_then_all_is_well(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        await upstream.add_faults({"status": 502, "times": 2}, {"status": 504, "times": 1})
        replies = [await upstream.post("generate_tensor", request_for()) for _ in range(4)]
        assert [reply.status for reply in replies] == [502, 502, 504, 200]
        assert (await upstream.send("GET", "/__sandbox/faults")).json == {"rules": []}

    play(scenario)


def test_a_rule_without_times_lasts_until_it_is_cleared(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        await upstream.add_faults({"status": 500})
        replies = [await upstream.post("generate_tensor", request_for()) for _ in range(3)]
        assert {reply.status for reply in replies} == {500}
        assert (await upstream.send("DELETE", "/__sandbox/faults")).json == {"rules": []}
        assert (await upstream.post("generate_tensor", request_for())).status == 200

    play(scenario)


def test_a_rule_keeps_to_its_endpoint_and_its_upstream_key(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        await upstream.add_faults({"status": 500, "endpoint": "fold"}, {"status": 403, "key": "-0002"})
        assert (await upstream.post("generate_tensor", request_for())).status == 200
        assert (await upstream.post("fold", {"model": "m", "sequence": "A"})).status == 500
        assert (await upstream.post("generate_tensor", request_for(), key="upstream-key-0002")).status == 403

    play(scenario)


def test_listing_rules_shows_what_is_left_and_no_whole_key(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        await upstream.add_faults({"status": 500, "key": "upstream-key-0001", "times": 3})
        await upstream.post("generate_tensor", request_for())
        listed = await upstream.send("GET", "/__sandbox/faults")
        assert listed.json == {"rules": [{"status": 500, "key": "0001", "times": 2}]}

    play(scenario)


@pytest.mark.parametrize(
    "wrong",
    [
        {"statsu": 500},
        {"status": "500"},
        {"status": 99},
        {"times": 0},
        {"endpoint": "fold_everything"},
        {"drop": "sometimes"},
        {"latency_s": -1},
        {"truncate_at": 1.5},
        {"content_type": "no type\r\nX: y"},
        {"drop": "after_work", "truncate_at": 10},
    ],
    ids=str,
)
def test_a_rule_that_is_wrong_is_refused_whole(play: Any, wrong: dict[str, Any]) -> None:
    async def scenario(upstream: Any) -> None:
        reply = await upstream.add_faults({"status": 500}, wrong)
        assert (reply.status, list(reply.json)) == (422, ["error"])
        assert (await upstream.send("GET", "/__sandbox/faults")).json == {"rules": []}

    play(scenario)


@pytest.mark.parametrize("wrong", [{"statsu": 500}, [], "x"])
def test_a_fault_header_that_is_wrong_is_refused(play: Any, request_for: Any, wrong: Any) -> None:
    reply = play(lambda upstream: upstream.post("generate_tensor", request_for(), fault=wrong))
    assert reply.status == 422


def test_a_dropped_connection_before_the_work_costs_nothing(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await upstream.post("generate_tensor", request_for(), fault={"drop": "before_work"})
        calls = await upstream.calls()
        assert (calls["total"], calls["units"], calls["last"][0]["status"]) == (1, 0, None)

    play(scenario)


def test_a_dropped_connection_after_the_work_has_cost_all_of_it(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await upstream.post("generate_tensor", request_for(), fault={"drop": "after_work"})
        calls = await upstream.calls()
        assert (calls["total"], calls["units"], calls["last"][0]["status"]) == (1, 32, None)

    play(scenario)


@pytest.mark.parametrize("sent", [0, 1, 100])
def test_a_truncated_answer_promises_more_than_it_sends(play: Any, request_for: Any, sent: int) -> None:
    async def scenario(upstream: Any) -> None:
        target, headers = upstream.url + "/api/v1/generate_tensor", {"Authorization": "Bearer k"}
        await upstream.add_faults({"truncate_at": sent, "times": 1})
        async with upstream.session.post(target, json=request_for(), headers=headers) as response:
            assert response.status == 200
            assert response.content_length is not None
            assert response.content_length > sent
            assert len(await response.content.readexactly(sent)) == sent
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.readexactly(1)

    play(scenario)


def test_an_answer_can_be_padded_warned_and_wrapped(play: Any, request_for: Any) -> None:
    fault = {"pad_bytes": 100_000, "warning_messages": ["first", "second"], "wrap_data": True}
    reply = play(lambda upstream: upstream.post("generate_tensor", request_for(), fault=fault))
    assert len(reply.body) > 100_000
    assert list(reply.json) == ["data"]
    assert reply.json["data"]["warning_messages"] == ["first", "second"]
    assert len(reply.json["data"]["outputs"]["sequence"]) == 8


@pytest.mark.parametrize("content_type", ["text/html", "application/json; charset=utf-8"])
def test_a_success_can_have_another_type_and_body(play: Any, request_for: Any, content_type: str) -> None:
    fault = {"content_type": content_type, "body": "<p>maintenance</p>"}
    reply = play(lambda upstream: upstream.post("generate_tensor", request_for(), fault=fault))
    assert (reply.status, reply.headers["Content-Type"]) == (200, content_type)
    assert reply.body == b"<p>maintenance</p>"


@pytest.mark.parametrize("name", ["latency_s", "first_byte_s", "middle_s"])
def test_an_answer_takes_the_time_that_it_is_told_to(play: Any, request_for: Any, name: str) -> None:
    async def scenario(upstream: Any) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        reply = await upstream.post("generate_tensor", request_for(), fault={name: 0.05})
        assert loop.time() - before >= 0.05
        assert len(reply.json["outputs"]["sequence"]) == 8

    play(scenario)


def test_the_usual_latency_is_that_of_the_factory_unless_a_rule_says_otherwise(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(upstream.post("generate_tensor", request_for()), 0.1)
        assert (await upstream.post("generate_tensor", request_for(), fault=slow(0))).status == 200

    play(scenario, latency_s=30.0)


def test_a_slow_first_byte_comes_after_the_work_is_paid(play: Any, request_for: Any) -> None:
    async def scenario(upstream: Any) -> None:
        await upstream.add_faults({"first_byte_s": 30})
        waiting = asyncio.create_task(upstream.post("generate_tensor", request_for()))
        calls = await upstream.until(lambda calls: calls["units"] > 0)
        assert calls["in_flight"] == 1
        assert not waiting.done()
        waiting.cancel()

    play(scenario)
