"""The order of a request, asserted on what it does to the world."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from gateway.core.types import Limits
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from tests.flow.harness import BODY, Harness, answering

GREEDY = '"exact: greedy, in the order of entropy"'
LIMITS = Limits(requests_per_minute=100, concurrent=4, units_per_day=1000)


def run(play: Callable[[Harness], Awaitable[None]], **harness: Any) -> None:
    async def whole() -> None:
        await play(await Harness(**harness).opened())

    asyncio.run(whole())


def problem(response: Any) -> str:
    assert response.media_type == "application/problem+json"
    return str(orjson.loads(response.body)["type"]).rsplit(":", 1)[-1]


def test_a_miss_is_charged_before_it_is_sent_and_settled_after() -> None:
    async def play(harness: Harness) -> None:
        response = await harness.ask()
        assert response.status == 200
        assert response.headers["Cache-Status"] == f"esm-gateway; fwd=miss; stored; detail={GREEDY}"
        effects = await harness.settled()
        assert effects[:7] == [
            "directory.find",
            "ledger.charge_rate",
            "cache.get",
            "cache.claim",
            "ledger.reserve",
            "upstream.send",
            "cache.put",
        ]
        assert effects[7:] == ["ledger.settle"]
        assert next(entry for entry in harness.memory.journal if entry[0] == "ledger.reserve")[2] == "10"

    run(play, limits=LIMITS)


def test_a_repeat_is_a_hit_that_costs_no_units_and_no_upstream_call() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        await harness.settled()
        harness.memory.journal.clear()
        second = await harness.ask()
        assert second.body == first.body
        assert second.headers["Cache-Status"].startswith("esm-gateway; hit; ttl=")
        assert await harness.settled() == ["ledger.charge_rate"]

    run(play, limits=LIMITS)


def test_another_process_finds_the_answer_in_the_store_in_one_step() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        await harness.settled()
        other = Harness(limits=LIMITS)
        other.memory.cache.entries = harness.memory.cache.entries
        await other.opened()
        second = await other.ask()
        assert second.body == first.body
        assert await other.settled() == ["directory.find", "ledger.charge_rate", "cache.get"]

    run(play, limits=LIMITS)


def test_equal_calls_at_once_are_one_upstream_call_and_one_charge() -> None:
    async def play(harness: Harness) -> None:
        answers = await asyncio.gather(*(harness.ask() for _ in range(50)))
        effects = await harness.settled()
        assert len({answer.body for answer in answers}) == 1
        assert effects.count("upstream.send") == effects.count("ledger.reserve") == 1
        collapsed = [answer for answer in answers if "collapsed" in answer.headers["Cache-Status"]]
        assert len(collapsed) == 49

    run(play, limits=Limits(units_per_day=1000))


def test_a_flight_without_an_entry_lets_go_of_its_lease() -> None:
    async def play(harness: Harness) -> None:
        harness.memory.upstream.replies.append(UpstreamReply(502, "application/json", None, b"{}"))
        await harness.ask()
        assert "cache.release" in await harness.settled()
        assert not harness.memory.cache.leases
        assert (await harness.ask()).status == 200

    run(play, limits=LIMITS)


def test_a_leader_without_units_hands_over_and_takes_nobody_down() -> None:
    async def play(harness: Harness) -> None:
        harness.memory.ledger.lost.add("reserve")
        first = asyncio.ensure_future(harness.ask())
        second = asyncio.ensure_future(harness.ask())
        await asyncio.sleep(0)
        while "ledger.reserve" not in harness.memory.effects():
            await asyncio.sleep(0)
        harness.memory.ledger.lost.clear()
        assert problem(await first) == "state-unavailable"
        assert (await second).status == 200

    run(play, limits=LIMITS)


def test_spent_units_are_a_403_that_costs_nothing_upstream() -> None:
    async def play(harness: Harness) -> None:
        response = await harness.ask()
        assert (response.status, problem(response)) == (403, "quota-exhausted")
        assert "upstream.send" not in await harness.settled()
        assert '"key-units";q=9;qu="esmgw-units";w=86400' in response.headers["RateLimit-Policy"]

    run(play, limits=Limits(units_per_day=9))


@pytest.mark.parametrize(
    "reply, status, settled",
    [
        (UpstreamReply(502, "application/json", None, b"{}"), 502, "0"),
        (UpstreamReply(400, "application/json", None, b"{}"), 422, "0"),
        (UpstreamReply(200, "text/html", None, b"<html>"), 502, "10"),
        (UpstreamReply(200, "application/json", None, b'{"outputs": {'), 502, "10"),
        (UpstreamReply(200, "application/vnd.evolutionaryscale.pickle", None, b"x"), 502, "10"),
        (UpstreamLoss("connection lost", sent=True, timed_out=False), 502, "10"),
        (UpstreamLoss("no answer in time", sent=True, timed_out=True), 504, "10"),
    ],
)
def test_the_charge_stands_exactly_where_the_upstream_may_have_worked(reply: Any, status: int, settled: str) -> None:
    async def play(harness: Harness) -> None:
        harness.memory.upstream.replies.append(reply)
        response = await harness.ask()
        assert response.status == status
        await harness.settled()
        assert [entry[2] for entry in harness.memory.journal if entry[0] == "ledger.settle"] == [settled]
        assert not harness.memory.cache.entries
        assert len(harness.memory.upstream.requests) == 1

    run(play, limits=LIMITS)


def test_an_upstream_401_kills_its_key_and_never_reaches_the_caller() -> None:
    async def play(harness: Harness) -> None:
        harness.memory.upstream.answer = lambda _: UpstreamReply(401, "application/json", None, b"{}")
        response = await harness.ask()
        assert (response.status, problem(response)) == (429, "upstream-busy")
        await harness.later(16.0)
        response = await harness.ask()
        assert (response.status, problem(response)) == (503, "no-upstream-key")
        assert harness.upstream_keys[0].state(harness.memory.clock.monotonic()) == "disabled"

    run(play, limits=LIMITS)


def test_a_caller_who_hangs_up_has_still_paid_and_the_answer_is_kept() -> None:
    async def play(harness: Harness) -> None:
        gate = asyncio.Event()

        async def slow(request: UpstreamRequest) -> UpstreamReply:
            await gate.wait()
            return answering(request)

        harness.memory.upstream.answer = slow
        asking = asyncio.ensure_future(harness.ask())
        while "upstream.send" not in harness.memory.effects():
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        gate.set()
        await harness.settled()
        assert [entry[2] for entry in harness.memory.journal if entry[0] == "ledger.settle"] == ["10"]
        assert len(harness.memory.cache.entries) == 1

    run(play, limits=LIMITS)


def test_a_wrong_key_is_refused_before_the_body_is_read() -> None:
    async def play(harness: Harness) -> None:
        raw = harness.raw(None, "/api/v1/generate_tensor", authorization="Bearer esmgw_abc")
        response = await harness.ask(authorization="Bearer esmgw_abc")
        assert (response.status, problem(response)) == (401, "key-refused")
        assert not raw.was_read
        assert await harness.settled() == []

    run(play)


def test_bad_input_costs_a_request_and_no_units() -> None:
    async def play(harness: Harness) -> None:
        response = await harness.ask({"inputs": {"sequence": [0, 99, 32, 2]}})
        assert (response.status, problem(response)) == (422, "call-invalid")
        assert orjson.loads(response.body)["errors"][0]["pointer"] == "/inputs/sequence/1"
        assert await harness.settled() == ["directory.find", "ledger.charge_rate"]

    run(play, limits=LIMITS)


def test_an_unapproved_flag_is_recorded_and_meets_neither_cache_nor_upstream() -> None:
    async def play(harness: Harness) -> None:
        response = await harness.ask({"potential_sequence_of_concern": True})
        assert (response.status, problem(response)) == (403, "concern-refused")
        assert await harness.settled() == ["directory.find", "ledger.charge_rate", "audit.append"]
        assert harness.memory.audit.events[0].kind == "policy_refused"

    run(play, limits=LIMITS)


def test_an_approved_flag_is_on_record_before_it_is_sent_with_the_marked_key() -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        response = await harness.ask({"potential_sequence_of_concern": True})
        assert response.status == 200
        effects = await harness.settled()
        assert effects.index("audit.append") < effects.index("cache.get") < effects.index("upstream.send")
        assert harness.memory.upstream.requests[0].secret == "up-marked"
        assert [event.kind for event in harness.memory.audit.events] == ["policy_permitted", "policy_answered"]

    run(play, limits=LIMITS)


def test_without_the_record_a_flagged_call_does_not_happen() -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        harness.memory.audit.lost.add("*")
        response = await harness.ask({"potential_sequence_of_concern": True})
        assert (response.status, problem(response)) == (503, "audit-unavailable")
        assert await harness.settled() == ["directory.find", "ledger.charge_rate", "audit.append"]

    run(play, limits=LIMITS)


def test_flagged_and_unflagged_answers_never_meet() -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        plain = await harness.ask()
        flagged = await harness.ask({"potential_sequence_of_concern": True})
        again = await harness.ask()
        assert plain.body == again.body != flagged.body
        assert len(harness.memory.cache.entries) == 2

    run(play, limits=LIMITS)


def test_observing_records_the_refusal_and_lets_the_call_go_on() -> None:
    async def play(harness: Harness) -> None:
        response = await harness.ask({"potential_sequence_of_concern": True})
        assert response.status == 200
        await harness.settled()
        assert harness.memory.audit.events[0].kind == "policy_refused"
        assert harness.memory.audit.events[0].facts["mode"] == "observe"

    run(play, settings={"policy": {"concern": "observe"}}, limits=LIMITS)


def test_a_lost_cache_is_a_bypass_and_a_lost_ledger_a_503_with_nothing_upstream() -> None:
    async def play(harness: Harness) -> None:
        harness.lose_cache()
        assert (await harness.ask()).headers["Cache-Status"] == f"esm-gateway; fwd=miss; detail={GREEDY}"
        await harness.flow.poller.poll()
        assert (await harness.ask()).headers["Cache-Status"] == "esm-gateway; fwd=bypass; detail=store"
        harness.memory.ledger.lost.add("*")
        sent = len(harness.memory.upstream.requests)
        response = await harness.ask({"num_steps": 1})
        assert (response.status, problem(response)) == (503, "state-unavailable")
        assert len(harness.memory.upstream.requests) == sent

    run(play, limits=LIMITS)


def test_without_the_cache_store_equal_calls_at_once_are_still_one_in_this_process() -> None:
    async def play(harness: Harness) -> None:
        harness.lose_cache()
        await harness.flow.poller.poll()
        answers = await asyncio.gather(*(harness.ask() for _ in range(20)))
        assert len({answer.body for answer in answers}) == len(harness.memory.upstream.requests) == 1

    run(play, limits=LIMITS)


def test_a_lost_reply_to_a_reservation_is_taken_back() -> None:
    async def play(harness: Harness) -> None:
        harness.memory.ledger.reply_lost.add("reserve")
        assert problem(await harness.ask()) == "state-unavailable"
        harness.memory.ledger.reply_lost.clear()
        await harness.settled()
        who = (await harness.memory.directory.find(next(iter(harness.memory.directory.records)))) or ()
        assert who
        harness.memory.clock.advance(1.0)
        await harness.flow.poller.poll()
        assert (await harness.ask()).status == 200

    run(play, limits=Limits(units_per_day=10))


@pytest.mark.parametrize(
    "control, second", [("no-cache", "fwd=request; stored"), ("no-store", "fwd=bypass"), ("max-foo", "hit")]
)
def test_cache_control_of_the_request_is_honoured(control: str, second: str) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        response = await harness.ask(cache_control=control)
        assert second in response.headers["Cache-Status"]

    run(play, limits=LIMITS)


def test_only_if_cached_never_goes_upstream() -> None:
    async def play(harness: Harness) -> None:
        response = await harness.ask(cache_control="only-if-cached")
        assert (response.status, problem(response)) == (412, "not-in-cache")
        assert "upstream.send" not in await harness.settled()

    run(play, limits=LIMITS)


def test_a_swapped_or_broken_entry_is_a_miss_and_is_replaced() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        await harness.ask({"num_steps": 1})
        one, two = harness.memory.cache.entries
        entries = harness.memory.cache.entries
        entries[one], entries[two] = entries[two], entries[one]
        fresh = Harness(limits=LIMITS)
        fresh.memory.cache.entries = entries
        await fresh.opened()
        response = await fresh.ask()
        assert "fwd=miss; stored" in response.headers["Cache-Status"]
        assert fresh.memory.meter.counts[("esmgw_cache_bad_entries_total",)] == 1
        assert "hit" in (await fresh.ask()).headers["Cache-Status"]

    run(play, limits=LIMITS)


def test_a_revoked_key_stops_within_a_look() -> None:
    async def play(harness: Harness) -> None:
        assert (await harness.ask()).status == 200
        harness.add_key(LIMITS, revoked=1.0)
        await harness.flow.poller.poll()
        assert problem(await harness.ask()) == "key-refused"

    run(play, limits=LIMITS)


def test_sampled_calls_are_never_kept_nor_shared() -> None:
    async def play(harness: Harness) -> None:
        answers = await asyncio.gather(*(harness.ask({"temperature": 0.5}) for _ in range(3)))
        assert len({answer.body for answer in answers}) == 3
        assert not harness.memory.cache.entries
        assert all(
            a.headers["Cache-Status"] == 'esm-gateway; fwd=bypass; detail="sampled: temperature is above 0"'
            for a in answers
        )

    run(play, limits=LIMITS)


def test_the_upstream_sees_what_was_parsed_with_every_default_spelled_out() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask(b" " + orjson.dumps({**BODY, "top_p": None}))
        sent = orjson.loads(harness.memory.upstream.requests[0].body)
        assert sent["schedule"] == "cosine"
        assert sent["top_p"] == 1.0
        assert sent["inputs"]["coordinates"] is None
        assert sent["potential_sequence_of_concern"] is False

    run(play, limits=LIMITS)


def test_the_access_log_knows_who_and_how_much_but_no_key_and_no_sequence() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        line = harness.memory.access.lines[0]
        assert (line["user"], line["units"], line["outcome"], line["cls"]) == ("ada", 10, "miss", "exact")
        text = str(line)
        assert "esmgw_" not in text
        assert "32" not in str(line.get("inputs", ""))
        assert "inputs" not in text

    run(play, limits=LIMITS)
