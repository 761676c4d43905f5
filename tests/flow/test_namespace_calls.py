"""Namespaces as callers meet them: a live one keeps the first answer to every call, a frozen one has no other."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from gateway.core.purge_state import Purge
from gateway.core.types import CacheScope, Limits, Namespace
from gateway.ports import UpstreamReply
from tests.flow.harness import Harness, serial, slug, status_of

PAPER = {"cache_control": "namespace=paper"}
DECLARED = {"potential_sequence_of_concern": True}
ENCODE = {"model": "esm3-open-2024-03", "inputs": {"sequence": "MKT_A"}}
# exact, pinned, sampled; and an endpoint whose answers are kept nowhere else.
CALLS: list[tuple[Any, str]] = [
    ({}, "/api/v1/generate_tensor"),
    ({"strategy": "random"}, "/api/v1/generate_tensor"),
    ({"temperature": 0.7}, "/api/v1/generate_tensor"),
    (orjson.dumps(ENCODE), "/api/v1/encode"),
]


def run(play: Callable[[Harness], Awaitable[None]], **harness: Any) -> None:
    async def whole() -> None:
        await play(await Harness(**harness).opened())

    asyncio.run(whole())


def silence(harness: Harness) -> None:
    """The upstream is switched off."""
    harness.memory.upstream.answer = lambda _: UpstreamReply(500, "application/json", None, b"{}")


@pytest.mark.parametrize("body, path", CALLS, ids=["exact", "pinned", "sampled", "encode"])
def test_a_namespace_replays_the_first_answer_of_any_class_and_endpoint_live_and_frozen(body: Any, path: str) -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        first = await harness.ask(body, path, **PAPER)
        assert status_of(first) == "fwd=miss; stored"
        again = await harness.ask(body, path, **PAPER)
        assert serial(again) == serial(first)
        assert status_of(again).startswith("hit; ")
        await harness.namespace("paper", frozen=True)
        silence(harness)
        await harness.later(400 * 86_400)
        assert serial(await harness.ask(body, path, **PAPER)) == serial(first)
        assert harness.sent() == 1
        assert not harness.memory.cache.entries

    run(play)


def test_a_replay_in_a_new_process_has_equal_bytes_and_the_same_receipt() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        first = await harness.ask(**PAPER)
        await harness.namespace("paper", frozen=True)
        other = Harness()
        vars(other.memory.namespace_store).update(vars(harness.memory.namespace_store))
        await other.opened()
        silence(other)
        second = await other.ask(**PAPER)
        assert second.body == first.body
        for name in ("ETag", "X-Gateway-Receipt"):
            assert second.headers[name] == first.headers[name]
        receipt = other.flow.renderer.receipt(second.headers["X-Gateway-Receipt"])
        assert receipt is not None
        assert receipt["upstream"] == "http://upstream"

    run(play)


def test_a_frozen_namespace_lacks_what_it_was_never_asked_and_sends_nothing_upstream() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        await harness.ask(**PAPER)
        await harness.ask({"num_steps": 1})
        await harness.namespace("paper", frozen=True)
        sent = harness.sent()
        harness.memory.journal.clear()
        for body in ({"num_steps": 1}, {"temperature": 0.7}):
            response = await harness.ask(body, **PAPER)
            assert (response.status, slug(response)) == (404, "not-recorded")
        assert (await harness.ask({"num_steps": 1}, cache_control="namespace=paper, only-if-cached")).status == 404
        assert harness.sent() == sent
        effects = await harness.settled()
        assert not {"ledger.reserve", "namespace_store.put", "cache.put", "cache.get"} & set(effects)

    run(play)


@pytest.mark.parametrize("control", ["no-cache", "no-store"])
def test_a_frozen_namespace_answers_nothing_that_was_not_recorded(control: str) -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        await harness.ask(**PAPER)
        await harness.namespace("paper", frozen=True)
        response = await harness.ask(cache_control=f"namespace=paper, {control}")
        assert (response.status, slug(response)) == (409, "namespace-frozen")
        assert harness.sent() == 1

    run(play)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("control", ["max-age=0", "min-fresh=2000000000", "only-if-cached", "max-stale"])
def test_a_record_has_no_age_that_could_be_wrong(control: str, frozen: bool) -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        first = await harness.ask(**PAPER)
        await harness.namespace("paper", frozen=frozen)
        await harness.later(86_400)
        response = await harness.ask(cache_control=f"namespace=paper, {control}")
        assert serial(response) == serial(first)
        assert response.headers["Age"] == "86400"

    run(play)


def test_a_live_record_stays_as_it_is_when_somebody_has_a_call_computed_anew() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        first = await harness.ask(**PAPER)
        for control in ("no-cache", "no-store"):
            other = await harness.ask(cache_control=f"namespace=paper, {control}")
            assert serial(other) != serial(first)
            assert "stored" not in status_of(other)
            assert serial(await harness.ask(**PAPER)) == serial(first)
        await harness.ask({"num_steps": 1}, cache_control="namespace=paper, no-store")
        await harness.namespace("paper", frozen=True)
        assert slug(await harness.ask({"num_steps": 1}, **PAPER)) == "not-recorded"

    run(play)


def test_an_unknown_namespace_is_a_404_that_costs_a_request_alone() -> None:
    async def play(harness: Harness) -> None:
        response = await harness.ask(**PAPER)
        assert (response.status, slug(response)) == (404, "unknown-namespace")
        # One request of the rate and one more look at the names.
        effects = ["directory.find", "ledger.charge_rate", "namespace_store.changes", "namespace_store.namespaces"]
        assert await harness.settled() == effects

    run(play, limits=Limits(requests_per_minute=100))


def test_a_namespace_and_the_shared_cache_do_not_see_each_other_nor_two_namespaces() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        await harness.namespace("draft")
        controls = [{}, PAPER, {"cache_control": "namespace=draft"}]
        answers = [serial(await harness.ask(**control)) for control in controls]
        assert len(set(answers)) == 3
        assert [serial(await harness.ask(**control)) for control in controls] == answers

    run(play)


@pytest.mark.parametrize("order", [({}, DECLARED), (DECLARED, {})])
def test_no_namespace_mixes_declared_sequences_of_concern_with_others(order: tuple[dict[str, Any], ...]) -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        await harness.namespace("paper")
        one, other = [serial(await harness.ask(body, **PAPER)) for body in order]
        assert one != other
        await harness.namespace("paper", frozen=True)
        assert [serial(await harness.ask(body, **PAPER)) for body in order] == [one, other]
        harness.memory.directory.granted.clear()
        harness.memory.directory.changes += 1
        await harness.flow.poller.poll()
        assert slug(await harness.ask(DECLARED, **PAPER)) == "concern-refused"
        assert serial(await harness.ask(**PAPER)) in (one, other)

    run(play)


@pytest.mark.parametrize("order", [({}, DECLARED), (DECLARED, {})])
def test_a_frozen_namespace_that_has_a_call_only_with_the_other_flag_lacks_it(
    order: tuple[dict[str, Any], ...],
) -> None:
    async def play(harness: Harness) -> None:
        harness.approval()
        await harness.namespace("paper")
        await harness.ask(order[0], **PAPER)
        await harness.namespace("paper", frozen=True)
        assert slug(await harness.ask(order[1], **PAPER)) == "not-recorded"

    run(play)


def test_a_key_reads_its_own_namespace_unless_another_is_named() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        await harness.namespace("draft")
        reader = harness.person("bob", cache=CacheScope(namespace="paper"))
        await harness.flow.poller.poll()
        recorded = serial(await harness.ask(**PAPER))
        assert serial(await harness.ask(**reader)) == recorded
        assert serial(await harness.ask(**reader, cache_control="namespace=draft")) != recorded
        second = serial(await harness.ask(**reader, cache_control="sample=2"))
        assert second != recorded
        assert serial(await harness.ask(cache_control="namespace=paper, sample=2")) == second
        assert serial(await harness.ask()) != recorded

    run(play)


def test_a_namespace_made_a_moment_ago_is_found_and_one_that_is_not_there_costs_the_store_little() -> None:
    async def play(harness: Harness) -> None:
        await harness.memory.namespace_store.create(Namespace("new", 1.0))
        assert status_of(await harness.ask(cache_control="namespace=new")) == "fwd=miss; stored"
        harness.memory.clock.advance(1.0)
        await harness.flow.poller.poll()
        harness.memory.journal.clear()
        for _ in range(50):
            assert slug(await harness.ask(cache_control="namespace=never")) == "unknown-namespace"
        assert harness.memory.effects().count("namespace_store.namespaces") == 1

    run(play)


def test_a_key_with_a_namespace_reaches_the_shared_cache_by_its_name() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        reader = harness.person("bob", cache=CacheScope(namespace="paper"))
        await harness.flow.poller.poll()
        shared = serial(await harness.ask())
        assert serial(await harness.ask(**reader)) != shared
        assert serial(await harness.ask(**reader, cache_control="namespace=default")) == shared

    run(play)


def test_a_key_whose_namespace_is_gone_gets_no_answer_from_elsewhere() -> None:
    async def play(harness: Harness) -> None:
        harness.add_key(Limits(), cache=CacheScope(namespace="gone"))
        await harness.flow.poller.poll()
        assert slug(await harness.ask()) == "unknown-namespace"
        assert harness.sent() == 0

    run(play)


def test_whatever_the_settings_keep_and_however_they_share_a_record_is_the_namespace_s() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        bob = harness.person("bob", "cells")
        await harness.flow.poller.poll()
        first = serial(await harness.ask(**PAPER))
        assert serial(await harness.ask(**PAPER, **bob)) == first

    run(play, settings={"cache": {"enabled": False, "share": "user", "classes": []}})


def test_without_the_state_store_a_record_is_a_503_and_nothing_is_computed() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        await harness.ask(**PAPER)
        harness.memory.namespace_store.lost.add("*")
        response = await harness.ask({"num_steps": 1}, **PAPER)
        assert (response.status, slug(response)) == (503, "state-unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert harness.sent() == 1

    run(play)


@pytest.mark.parametrize("lost", [True, False])
def test_an_answer_that_the_record_does_not_take_is_given_once_and_not_remembered(lost: bool) -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        if lost:
            harness.memory.namespace_store.lost.add("put")
        else:
            harness.memory.namespace_store._max_bytes = 0
        answers = [await harness.ask(**PAPER) for _ in range(2)]
        assert [status_of(answer) for answer in answers] == ["fwd=miss"] * 2
        assert len({serial(answer) for answer in answers}) == 2

    run(play)


def test_without_the_cache_store_a_record_is_read_all_the_same() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        harness.lose_cache()
        await harness.flow.poller.poll()
        first = await harness.ask(**PAPER)
        assert status_of(first) == "fwd=miss; stored"
        assert serial(await harness.ask(**PAPER)) == serial(first)

    run(play)


def test_what_was_frozen_since_the_last_look_is_answered_and_not_recorded() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        await harness.memory.namespace_store.freeze("paper", 1.0)
        first = await harness.ask(**PAPER)
        assert status_of(first) == "fwd=miss"
        await harness.flow.poller.poll()
        assert slug(await harness.ask(**PAPER)) == "not-recorded"

    run(play)


async def addresses(harness: Harness, name: str) -> list[str]:
    """Where the answers of a namespace were put, in order."""
    await harness.settled()
    return [entry[2] for entry in harness.memory.journal if entry[:2] == ("namespace_store.put", name)]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_record_that_is_broken_or_lies_where_another_belongs_is_none(frozen: bool) -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        await harness.ask(**PAPER)
        second = serial(await harness.ask({"num_steps": 1}, **PAPER))
        namespace_store, (one, other) = harness.memory.namespace_store, await addresses(harness, "paper")
        swapped = await namespace_store.get("paper", other)
        assert swapped is not None
        await namespace_store.remove("paper", one)
        await namespace_store.put("paper", one, swapped)
        await namespace_store.remove("paper", other)
        await namespace_store.put("paper", other, swapped[:-1])
        await harness.namespace("paper", frozen=frozen)
        await harness.memory.namespace_store.touch()
        await harness.flow.poller.poll()
        for body in ({}, {"num_steps": 1}):
            response = await harness.ask(body, **PAPER)
            if frozen:
                assert slug(response) == "not-recorded"
            else:
                assert serial(response) != second
                assert status_of(response) == "fwd=miss; stored"
                assert serial(await harness.ask(body, **PAPER)) == serial(response)
        assert harness.memory.meter.counts[("esmgw_cache_bad_entries_total",)] >= 2

    run(play)


def test_a_namespace_made_anew_holds_nothing_of_its_forerunner_not_even_in_memory() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        first = serial(await harness.ask(**PAPER))
        await harness.memory.namespace_store.drop("paper")
        harness.memory.clock.advance(0.1)
        await harness.namespace("paper")
        assert serial(await harness.ask(**PAPER)) != first

    run(play)


def test_a_purge_of_the_cache_leaves_the_records_alone() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        first = serial(await harness.ask(**PAPER))
        for what in (Purge(), Purge("esm3-open-2024-03"), Purge(soft=True), Purge(older_than_s=0.0)):
            harness.memory.clock.advance(1.0)
            await harness.memory.purge_store.purge(what)
            await harness.flow.poller.poll()
            assert serial(await harness.ask(**PAPER)) == first

    run(play)
