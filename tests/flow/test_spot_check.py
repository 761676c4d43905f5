"""A share of hits is computed again behind the callers' backs, on nobody's account, and what differs is not kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from gateway.core.spot_check import BUDGET_HOLDER
from gateway.core.types import Limits, Namespace
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from tests.flow.harness import Harness, turns

UNITS = 10
"""What BODY costs: five tokens, two steps."""
CHEAP = {"num_steps": 1}
ALWAYS = {"spot_check_fraction": 1.0, "spot_check_interval_s": 0.0}
RESULTS = ("same", "different", "failed", "no_budget", "busy", "recent")


def run(play: Callable[[Harness], Awaitable[None]], limits: Limits | None = None, **cache: Any) -> None:
    async def whole() -> None:
        await play(await Harness({"cache": {**ALWAYS, **cache}}, limits).opened())

    asyncio.run(whole())


def otherwise(request: UpstreamRequest) -> UpstreamReply:
    """The model has changed: other tokens."""
    inputs = orjson.loads(request.body)["inputs"]
    return UpstreamReply(
        200, "application/json", None, orjson.dumps({"outputs": {**inputs, "sequence": [0, 7, 5, 7, 2]}})
    )


def results(harness: Harness) -> dict[str, float]:
    counts = harness.memory.meter.counts
    every = {result: counts[("esmgw_cache_spot_checks_total", result)] for result in RESULTS}
    return {result: count for result, count in every.items() if count}


def divergence(harness: Harness) -> dict[tuple[str, ...], float]:
    counts = harness.memory.meter.counts
    return {key[1:]: count for key, count in counts.items() if key[0] == "esmgw_cache_divergence_total" and count}


def sent(harness: Harness) -> int:
    return len(harness.memory.upstream.requests)


def spent(harness: Harness) -> int:
    """Units that the budget of re-validation has counted today."""
    held = harness.memory.ledger.rules.counters.units
    return sum(units for key, (_, units) in held.items() if BUDGET_HOLDER in key)


async def miss_then_hit(harness: Harness, **headers: str) -> None:
    await harness.ask(None, **headers)
    response = await harness.ask(None, **headers)
    assert "; hit" in response.headers["Cache-Status"]
    await harness.settled()


def test_a_hit_that_is_still_right_stays_and_is_counted_as_the_same() -> None:
    async def play(harness: Harness) -> None:
        await miss_then_hit(harness)
        assert (sent(harness), results(harness), divergence(harness)) == (2, {"same": 1}, {})
        assert len(harness.memory.cache.entries) == 1
        assert "purge_store.purge" not in harness.memory.effects()

    run(play)


def test_what_goes_upstream_again_is_what_went_before() -> None:
    async def play(harness: Harness) -> None:
        await miss_then_hit(harness)
        first, second = harness.memory.upstream.requests
        assert (first.target, first.body) == (second.target, second.body)

    run(play)


def test_an_exact_answer_that_differs_is_counted_and_dropped_everywhere() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        harness.memory.upstream.answer = otherwise
        old = await harness.ask()
        await harness.settled()
        assert b"[0,5,5,5,2]" in old.body, "who had the hit has it; nobody waited"
        assert results(harness) == {"different": 1}
        assert divergence(harness) == {("esm3-open-2024-03", "exact", "wire-2"): 1}
        assert not harness.memory.cache.entries
        assert "purge_store.purge" in harness.memory.effects()
        new = await harness.ask()
        assert new.headers["Cache-Status"].startswith("esm-gateway; fwd=miss; stored")
        assert b"[0,7,5,7,2]" in new.body

    run(play)


def test_another_worker_forgets_what_it_had_in_memory_at_its_next_look() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        before = harness.memory.purge_store.standing
        harness.memory.upstream.answer = otherwise
        await harness.ask()
        await harness.settled()
        assert harness.memory.purge_store.standing.serial == before.serial + 1
        assert harness.memory.purge_store.standing.epoch == before.epoch, "nothing else is out of reach"

    run(play)


def test_a_lost_word_to_the_other_workers_is_said_again() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        harness.memory.upstream.answer = otherwise
        harness.memory.purge_store.lost.add("purge")
        await harness.ask()
        for _ in range(100):
            if harness.memory.effects().count("purge_store.purge") == 2:
                break
            await turns(1)
        harness.memory.purge_store.lost.clear()
        await harness.settled()
        assert harness.memory.purge_store.standing.serial == 1
        assert harness.memory.meter.counts[("esmgw_store_errors_total", "cache", "purge")] >= 2

    run(play)


def test_a_pinned_answer_that_differs_is_counted_and_kept() -> None:
    async def play(harness: Harness) -> None:
        pinned = {"strategy": "random"}
        first = await harness.ask(pinned)
        harness.memory.upstream.answer = otherwise
        await harness.ask(pinned)
        await harness.settled()
        assert divergence(harness) == {("esm3-open-2024-03", "pinned", "wire-2"): 1}
        again = await harness.ask(pinned)
        assert orjson.loads(again.body)["outputs"] == orjson.loads(first.body)["outputs"]
        assert "purge_store.purge" not in harness.memory.effects()

    run(play, spot_check_classes=["exact", "pinned"])


def test_pinned_hits_are_left_alone_unless_they_are_asked_for() -> None:
    async def play(harness: Harness) -> None:
        for _ in range(3):
            await harness.ask({"strategy": "random"})
        await harness.settled()
        assert (sent(harness), results(harness)) == (1, {})

    run(play)


def test_it_is_charged_to_its_own_budget_and_to_nobody_else() -> None:
    async def play(harness: Harness) -> None:
        await miss_then_hit(harness)
        subjects = {key[0] for key in harness.memory.ledger.rules.counters.units}
        assert subjects == {"ada", BUDGET_HOLDER}
        assert spent(harness) == UNITS
        counts = harness.memory.meter.counts
        assert counts[("esmgw_units_total", "generate_tensor", "spot_check")] == UNITS
        assert counts[("esmgw_units_total", "generate_tensor", "reserved")] == 2 * UNITS
        assert counts[("esmgw_units_total", "generate_tensor", "settled")] == 2 * UNITS

    run(play, Limits(units_per_day=UNITS))


def test_a_spent_budget_ends_it_for_the_day_to_the_unit() -> None:
    async def play(harness: Harness) -> None:
        for _ in range(5):
            await harness.ask()
            await harness.settled()
        assert results(harness) == {"same": 2, "no_budget": 2}
        assert (spent(harness), sent(harness)) == (2 * UNITS, 3)
        asked = harness.memory.effects().count("ledger.reserve")
        await harness.ask()
        await harness.settled()
        assert harness.memory.effects().count("ledger.reserve") == asked, "nor is it asked about at every hit"
        await harness.ask(CHEAP)
        await harness.ask(CHEAP)
        await harness.settled()
        assert (results(harness)["same"], spent(harness)) == (3, 2 * UNITS + 5), "what still fits is computed"
        harness.memory.clock.advance(86_400)
        await harness.flow.poller.poll()
        await harness.ask()
        await harness.settled()
        assert results(harness)["same"] == 4

    run(play, spot_check_units_per_day=3 * UNITS - 1)


def test_two_gateways_share_one_budget() -> None:
    async def play(harness: Harness) -> None:
        other = Harness({"cache": {**ALWAYS, "spot_check_units_per_day": UNITS}})
        for part in ("ledger", "cache", "purge_store"):
            vars(getattr(other.memory, part)).update(vars(getattr(harness.memory, part)))
        await other.opened()
        await miss_then_hit(harness)
        assert "; hit" in (await other.ask()).headers["Cache-Status"]
        await other.settled()
        assert (results(harness), results(other)) == ({"same": 1}, {"no_budget": 1})

    run(play, spot_check_units_per_day=UNITS)


def test_what_was_just_found_right_rests_and_another_question_does_not() -> None:
    async def play(harness: Harness) -> None:
        for _ in range(3):
            await miss_then_hit(harness)
        assert (sent(harness), results(harness)) == (2, {"same": 1, "recent": 4})
        harness.memory.clock.advance(601.0)
        await harness.flow.poller.poll()
        await harness.ask()
        await harness.settled()
        assert results(harness)["same"] == 2

    run(play, spot_check_interval_s=600.0)


@pytest.mark.parametrize("share, again", [(0.0, 0), (1.0, 20)])
def test_the_share_is_what_was_set(share: float, again: int) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        for _ in range(20):
            await harness.ask()
            await harness.settled()
        assert sent(harness) == 1 + again

    run(play, spot_check_fraction=share)


def test_of_many_hits_about_the_share_is_computed_again() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        for _ in range(500):
            assert (await harness.ask()).status == 200
            await harness.settled()
        assert 70 <= results(harness)["same"] <= 130

    run(play, spot_check_fraction=0.2)


def test_a_flagged_call_is_never_sent_without_its_record() -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        for _ in range(3):
            response = await harness.ask({"potential_sequence_of_concern": True})
        await harness.settled()
        assert "; hit" in response.headers["Cache-Status"]
        assert (sent(harness), results(harness)) == (1, {})

    run(play)


def test_pools_and_namespaces_keep_their_first_answer_whatever_a_second_would_be() -> None:
    async def play(harness: Harness) -> None:
        await harness.memory.namespace_store.create(Namespace("paper", 0.0))
        await harness.flow.poller.poll()
        for directives in ("namespace=paper", "pool=lab, sample=2"):
            before = sent(harness)
            await miss_then_hit(harness, cache_control=directives)
            assert (sent(harness), results(harness)) == (before + 1, {})

    run(play)


def test_a_struggling_upstream_is_not_asked_for_second_opinions() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        harness.memory.upstream.replies.append(UpstreamLoss("no answer", sent=True, timed_out=True))
        await harness.ask({"num_steps": 1})
        before = sent(harness)
        await harness.ask()
        await harness.settled()
        assert (sent(harness), results(harness)) == (before, {"busy": 1})

    async def whole() -> None:
        await play(await Harness({"cache": ALWAYS, "breaker": {"failures": 1}}).opened())

    asyncio.run(whole())


@pytest.mark.parametrize(
    "reply, settled",
    [
        (UpstreamReply(500, "application/json", None, b"{}"), 0),
        (UpstreamLoss("no answer", sent=True, timed_out=True), UNITS),
    ],
)
def test_an_upstream_that_fails_says_nothing_about_the_answer(reply: Any, settled: int) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        harness.memory.upstream.replies.append(reply)
        await harness.ask()
        await harness.settled()
        assert (results(harness), divergence(harness), spent(harness)) == ({"failed": 1}, {}, settled)
        assert len(harness.memory.cache.entries) == 1

    run(play)


@pytest.mark.parametrize("way", ["lost", "reply_lost"])
def test_without_the_ledger_nothing_is_sent_and_nothing_stays_charged(way: str) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        getattr(harness.memory.ledger, way).add("reserve")
        await harness.ask()
        await harness.settled()
        assert (sent(harness), results(harness), spent(harness)) == (1, {"failed": 1}, 0)

    run(play)


def test_only_a_few_are_under_way_at_once_and_the_rest_are_let_go() -> None:
    async def play(harness: Harness) -> None:
        bodies = [{"num_steps": 1, "inputs": {"sequence": [0, 32, token, 32, 2]}} for token in range(4, 9)]
        for body in bodies:
            await harness.ask(body)
        held: asyncio.Future[UpstreamReply] = asyncio.get_running_loop().create_future()
        harness.memory.upstream.answer = lambda _: held
        for body in bodies + bodies[:2]:
            await harness.ask(body)
        await asyncio.sleep(0)
        held.set_result(UpstreamReply(500, "application/json", None, b"{}"))
        await harness.settled()
        assert results(harness) == {"failed": 2, "busy": 3}, "nor is one answer asked for twice at once"

    run(play)


def test_every_series_is_there_before_its_first_event() -> None:
    async def play(harness: Harness) -> None:
        counts = dict(harness.memory.meter.counts)
        assert counts[("esmgw_cache_divergence_total", "esm3-open-2024-03", "exact", "wire-2")] == 0
        assert {key[1] for key in counts if key[0] == "esmgw_cache_spot_checks_total"} == set(RESULTS)

    run(play)


def test_a_hit_that_no_entry_stands_behind_is_nothing_to_compare_with() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask(cache_control="no-store")
        await harness.ask(cache_control="no-store")
        await harness.settled()
        assert (sent(harness), results(harness)) == (2, {})

    run(play)


def test_where_rules_let_spellings_share_the_caller_s_own_spelling_is_what_is_asked() -> None:
    """So the number says whether the rules hold for this upstream: here, one that does mind the steps."""

    def minding(request: UpstreamRequest) -> UpstreamReply:
        body = orjson.loads(request.body)
        drawn = 4 + body["num_steps"]
        sequence = [0, drawn, 5, drawn, 2]
        outputs = {**body["inputs"], "sequence": sequence}
        return UpstreamReply(200, "application/json", None, orjson.dumps({"outputs": outputs}))

    async def play(harness: Harness) -> None:
        harness.memory.upstream.answer = minding
        await harness.ask({"num_steps": 2})
        await harness.ask({"num_steps": 2})
        await harness.settled()
        assert results(harness) == {"same": 1}
        shared = await harness.ask({"num_steps": 4})
        await harness.settled()
        assert "; hit" in shared.headers["Cache-Status"], "two masks, so more than two steps are two"
        assert [orjson.loads(request.body)["num_steps"] for request in harness.memory.upstream.requests] == [2, 2, 4]
        ((model, cls, rule_set), count), *_ = divergence(harness).items()
        assert (model, cls, count) == ("esm3-open-2024-03", "exact", 1)
        assert rule_set.startswith("sampler-")
        assert not harness.memory.cache.entries

    run(play, level="sampler")


def test_rules_that_hold_are_measured_as_the_same_around_each_caller_s_own_inputs() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask({"num_steps": 2})
        for steps in (2, 3, 4):
            assert "; hit" in (await harness.ask({"num_steps": steps})).headers["Cache-Status"]
            await harness.settled()
        assert (results(harness), divergence(harness)) == ({"same": 3}, {})

    run(play, level="sampler")
