"""While the state store is away: hits of known keys go on, counted here; nothing else does, flagged calls least."""

from typing import Any

import pytest

from gateway.core.types import Limits
from gateway.flow.context import RequestContext
from tests.flow.harness import Harness, slug, status_of
from tests.flow.test_pipeline import run

MINUTE = Limits(requests_per_minute=60, burst=4)
FLAGGED = {"potential_sequence_of_concern": True}


def lose_state(harness: Harness) -> None:
    """Every part that is kept there; nobody has noticed yet."""
    for part in (harness.memory.ledger, harness.memory.directory, harness.memory.namespace_store):
        part.lost.add("*")


def have_state_back(harness: Harness) -> None:
    for part in (harness.memory.ledger, harness.memory.directory, harness.memory.namespace_store):
        part.lost.clear()


@pytest.mark.parametrize("limits", [Limits(), MINUTE, Limits(requests_per_minute=60, units_per_day=1000)])
@pytest.mark.parametrize("noticed", [True, False])
def test_hits_go_on_and_misses_are_a_503_with_nothing_sent(limits: Limits, noticed: bool) -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        lose_state(harness)
        if noticed:
            await harness.flow.poller.poll()
        again = await harness.ask()
        assert (again.status, again.body) == (200, first.body)
        assert status_of(again).startswith("hit")
        if noticed or limits.requests_per_minute:
            refused = await harness.ask({"num_steps": 1})
            assert (refused.status, slug(refused)) == (503, "state-unavailable")
            assert int(refused.headers["Retry-After"]) > 0
            assert harness.sent() == 1
        have_state_back(harness)
        await harness.flow.poller.poll()
        assert (await harness.ask({"num_steps": 1})).status == 200

    run(play, limits=limits)


def test_who_has_no_limits_gets_hits_alone_like_everybody() -> None:
    none = dict.fromkeys(("requests_per_minute", "concurrent", "units_per_day"), "unlimited")

    async def play(harness: Harness) -> None:
        await harness.ask()
        lose_state(harness)
        await harness.flow.poller.poll()
        assert (await harness.ask()).status == 200
        assert slug(await harness.ask({"num_steps": 1})) == "state-unavailable"
        assert harness.sent() == 1

    run(play, settings={"limits": {"default": none}}, limits=Limits())


def test_what_only_the_cache_store_holds_is_a_hit_too_and_what_is_in_no_cache_says_so() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        lose_state(harness)
        await harness.flow.poller.poll()
        assert status_of(await harness.ask()).startswith("hit")
        assert slug(await harness.ask({"num_steps": 1}, cache_control="only-if-cached")) == "not-in-cache"
        assert slug(await harness.ask(cache_control="no-cache")) == "state-unavailable"
        assert harness.sent() == 1

    run(play, settings={"cache": {"local_answers_bytes": 0}}, limits=MINUTE)


@pytest.mark.parametrize("limits", [Limits(), Limits(requests_per_minute=6000, burst=3000)])
def test_a_flagged_call_is_never_served_and_leaves_no_record_of_a_permission(limits: Limits) -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        for _ in range(4):
            assert (await harness.ask(FLAGGED)).status == 200
        assert harness.flow.admission.held == 1  # with requests left that are charged already
        await harness.settled()
        records = len(harness.memory.audit.events)
        lose_state(harness)
        await harness.flow.poller.poll()
        for _ in range(3):
            refused = await harness.ask(FLAGGED)
            assert (refused.status, slug(refused)) == (503, "state-unavailable")
        assert len(harness.memory.audit.events) == records
        assert harness.sent() == 1

    run(play, limits=limits)


def test_a_flagged_call_that_meets_the_loss_first_is_refused_like_one_that_comes_later() -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        assert (await harness.ask(FLAGGED)).status == 200
        harness.memory.clock.advance(5.0)
        lose_state(harness)
        assert slug(await harness.ask(FLAGGED)) == "state-unavailable"

    run(play, limits=MINUTE)


def test_known_keys_go_on_for_their_minute_and_unknown_ones_not_at_all() -> None:
    async def play(harness: Harness) -> None:
        stranger = harness.person("eve")
        await harness.flow.poller.poll()
        await harness.ask()
        lose_state(harness)
        await harness.later(55.0)
        assert (await harness.ask()).status == 200
        assert slug(await harness.ask(**stranger)) == "state-unavailable"
        await harness.later(10.0)
        assert slug(await harness.ask()) == "state-unavailable"

    run(play, limits=MINUTE)


def test_each_worker_counts_the_rate_for_itself_by_the_rule_of_the_store() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        harness.memory.clock.advance(20.0)
        lose_state(harness)
        await harness.flow.poller.poll()
        answers = [await harness.ask() for _ in range(4)]
        of_key = [answer.headers["RateLimit"].rpartition(", ")[2] for answer in answers]
        assert of_key == [f'"key-requests";r={3 - n};t={n + 1}' for n in range(4)]
        refused = await harness.ask()  # held for half a second
        assert slug(refused) == "rate-exceeded"
        assert refused.headers["Retry-After"] == "1"
        harness.memory.clock.advance(0.6)
        assert [(await harness.ask()).status for _ in range(2)] == [200, 429]

    run(play, limits=MINUTE)


def test_every_limit_counts_and_one_users_requests_leave_anothers_alone() -> None:
    async def play(harness: Harness) -> None:
        bob = harness.person("bob", limits=Limits(requests_per_minute=60, burst=1))
        cyd = harness.person("cyd")
        await harness.flow.poller.poll()
        for who in ({}, bob, cyd):
            await harness.ask(**who)
        harness.memory.clock.advance(20.0)
        lose_state(harness)
        await harness.flow.poller.poll()
        assert [(await harness.ask(**bob)).status for _ in range(2)] == [200, 429]
        assert [(await harness.ask(**cyd)).status for _ in range(3)] == [200, 200, 429]
        assert (await harness.ask()).status == 200

    run(play, settings={"limits": {"default": {"requests_per_minute": 60, "burst": 2}}}, limits=Limits())


def test_who_was_over_the_limit_when_it_was_lost_still_is() -> None:
    async def play(harness: Harness) -> None:
        for _ in range(5):
            last = await harness.ask()
        assert last.status == 429
        lose_state(harness)
        await harness.flow.poller.poll()
        assert (await harness.ask()).status == 429
        harness.memory.clock.advance(1.1)
        assert (await harness.ask()).status == 200

    run(play, settings={"admission": {"max_wait_s": 0.0}}, limits=MINUTE)


def test_a_store_that_is_known_to_be_lost_is_not_asked_by_every_hit() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        lose_state(harness)
        await harness.flow.poller.poll()
        before = len([name for name in harness.memory.effects() if name.startswith("ledger.")])
        for _ in range(3):
            assert (await harness.ask()).status == 200
        assert len([name for name in harness.memory.effects() if name.startswith("ledger.")]) == before

    run(play, limits=MINUTE)


def test_an_explanation_is_no_hit() -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        lose_state(harness)
        raw: Any = harness.raw({}, "/gateway/v1/explain")
        with pytest.raises(Exception) as refused:
            await harness.flow.explainer.admit(raw, RequestContext("r", harness.memory.clock.monotonic))
        assert refused.value.type.slug == "state-unavailable"  # type: ignore[attr-defined]

    run(play, limits=MINUTE)
