"""What callers ask of the cache in Cache-Control, from the request to the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from math import floor
from typing import Any

import orjson
import pytest

from gateway.core.cache_directives import DIRECTIVES
from gateway.core.types import CacheScope, Limits
from gateway.ports import UpstreamReply, UpstreamRequest
from tests.flow.harness import Harness, answering, serial, slug, status_of

CACHE = {"cache": {"ttl_s": 1000.0, "stale_if_error_s": 500.0}}


def run(play: Callable[[Harness], Awaitable[None]], **harness: Any) -> None:
    async def whole() -> None:
        await play(await Harness(**harness).opened())

    asyncio.run(whole())


@pytest.mark.parametrize(
    "control, age, hit",
    [
        ("max-age=60", 60, True),
        ("max-age=60", 61, False),
        ('Max-Age="60"', 61, False),
        ("max-age=0", 1, False),
        ("max-foo=abc", 999, True),
        ("min-fresh=400", 600, True),
        ("min-fresh=400", 601, False),
        ("max-age=700, min-fresh=400", 650, False),
        ("max-stale", 1400, True),
        ("max-stale", 1000.3, True),
        ("max-stale=100", 1100, True),
        ("max-stale=100", 1101, False),
        ("max-stale=100, max-age=1050", 1060, False),
        ("max-stale=100, no-cache", 10, False),
        ("private, x=y", 999, True),
        ("private, x=y", 1000, False),
    ],
)
def test_ages_that_were_asked_for_are_honoured(control: str, age: float, hit: bool) -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        await harness.later(age)
        second = await harness.ask(cache_control=control)
        assert (serial(second) == serial(first)) is hit
        assert harness.sent() == (1 if hit else 2)
        if hit:
            assert second.headers["Age"] == str(int(age))
            assert status_of(second) == f"hit; ttl={floor(1000 - age)}"
            outcome = "hit" if age < 1000 else "stale"
            assert harness.memory.access.lines[-1]["outcome"] == outcome
            assert harness.memory.meter.counts[("esmgw_cache_results_total", "generate_tensor", outcome, "exact")] == 1
        else:
            assert second.headers["Age"] == "0"
            fwd = "stale" if age >= 1000 and control != "max-stale=100, no-cache" else "request"
            assert status_of(second) == f"fwd={fwd}; stored"
            reason = "no-cache" if "no-cache" in control else fwd
            assert harness.memory.meter.counts[("esmgw_cache_results_total", "generate_tensor", "miss", reason)] == 1

    run(play, settings=CACHE)


def test_an_answer_that_was_too_old_for_one_is_replaced_for_all() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        await harness.later(100)
        second = await harness.ask(cache_control="max-age=60")
        assert serial(first) != serial(second) == serial(await harness.ask())

    run(play, settings=CACHE)


def test_of_two_at_once_with_different_wishes_each_gets_what_it_asked_for() -> None:
    async def play(harness: Harness) -> None:
        old = await harness.ask()
        await harness.later(100)
        patient, impatient = await asyncio.gather(harness.ask(), harness.ask(cache_control="max-age=60"))
        assert serial(patient) == serial(old) != serial(impatient)

    run(play, settings=CACHE)


def test_an_expired_answer_is_computed_anew_once_for_all_who_ask_at_once() -> None:
    async def play(harness: Harness) -> None:
        old = await harness.ask()
        await harness.later(1001)
        answers = await asyncio.gather(*(harness.ask() for _ in range(10)))
        (new,) = {serial(answer) for answer in answers}
        assert new != serial(old)
        assert harness.sent() == 2
        assert sum("stored" in status_of(answer) for answer in answers) == 10

    run(play, settings=CACHE)


def test_an_entry_that_another_process_left_stale_is_no_answer_of_the_fleet() -> None:
    async def play(harness: Harness) -> None:
        old = await harness.ask()
        await harness.later(1001)
        get = harness.memory.cache.get

        async def missed(cache_key: str) -> bytes | None:
            await get(cache_key)
            return None

        harness.memory.cache.get = missed  # type: ignore[method-assign]
        new = await harness.ask()
        assert serial(new) != serial(old)
        assert harness.sent() == 2

    run(play, settings=CACHE)


def test_all_who_want_nothing_older_than_their_question_share_what_was_made_since() -> None:
    async def play(harness: Harness) -> None:
        gate = asyncio.Event()

        async def slow(request: UpstreamRequest) -> UpstreamReply:
            await gate.wait()
            return answering(request)

        old = await harness.ask()
        await harness.later(10)
        harness.memory.upstream.answer = slow
        asking = [asyncio.ensure_future(harness.ask(cache_control="max-age=0")) for _ in range(10)]
        while harness.sent() == 1:
            await asyncio.sleep(0)
        harness.memory.clock.advance(1.5)
        gate.set()
        (new,) = {serial(await each) for each in asking}
        assert new != serial(old)
        assert harness.sent() == 2

    run(play, settings=CACHE)


@pytest.mark.parametrize("control", ["no-cache", "no-store", "max-age=0"])
def test_only_if_cached_never_goes_upstream_whatever_else_is_asked(control: str) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        await harness.later(5)
        response = await harness.ask(cache_control=f"only-if-cached, {control}")
        assert (response.status, slug(response)) == (412, "not-in-cache")
        assert harness.sent() == 1
        assert serial(await harness.ask(cache_control="only-if-cached")) == serial(await harness.ask())

    run(play, settings=CACHE)


def test_no_store_leaves_nothing_behind_and_reads_nothing() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask(cache_control="no-store")
        assert not harness.memory.cache.entries
        second = await harness.ask()
        third = await harness.ask(cache_control="no-store")
        assert len({serial(answer) for answer in (first, second, third)}) == 3
        assert serial(await harness.ask()) == serial(second)

    run(play)


ALL = {
    "no-cache": "no-cache",
    "no-store": "no-store",
    "only-if-cached": "only-if-cached",
    "max-age": "max-age=1",
    "min-fresh": "min-fresh=1",
    "max-stale": "max-stale",
    "pool": "pool=lab",
    "sample": "sample=2, pool=lab",
    "namespace": "namespace=paper",
}


@pytest.mark.parametrize("name", DIRECTIVES)
def test_a_directive_outside_the_key_s_scope_is_refused_by_its_name_and_costs_a_request_alone(name: str) -> None:
    async def play(harness: Harness) -> None:
        harness.add_key(Limits(requests_per_minute=100), cache=CacheScope(directives=tuple(set(DIRECTIVES) - {name})))
        await harness.namespace("paper")
        await harness.ask()
        harness.memory.journal.clear()
        response = await harness.ask(cache_control=ALL[name])
        assert (response.status, slug(response)) == (403, "cache-control-refused")
        assert orjson.loads(response.body)["detail"] == f"This key may not use: {name}."
        effects = [effect for effect in await harness.settled() if effect.startswith(("ledger", "upstream"))]
        assert effects == ["ledger.charge_rate"]
        assert serial(await harness.ask(cache_control="private"))

    run(play)


def test_a_directive_without_sense_is_a_400() -> None:
    async def play(harness: Harness) -> None:
        ours = ("pool=a/b", "sample=0, pool=lab", "sample=2", "namespace=a b")
        for control in (*ours, "max-age=1h", "max-age=-1", "max-age", "min-fresh=soon", "max-stale=", "no-cache;foo"):
            response = await harness.ask(cache_control=control)
            assert (response.status, slug(response)) == (400, "cache-control-invalid")
        assert harness.sent() == 0

    run(play)


def people(harness: Harness, scope: CacheScope | None = None) -> dict[str, dict[str, str]]:
    teams = {"bob": "proteins", "cyd": "cells"}
    return {user: harness.person(user, team, cache=scope) for user, team in teams.items()}


@pytest.mark.parametrize(
    "of_settings, of_key, shared",
    [
        ("organisation", None, {"bob", "cyd"}),
        ("organisation", "team", {"bob"}),
        ("organisation", "user", set()),
        ("team", "organisation", {"bob"}),
        ("user", "organisation", set()),
    ],
)
def test_a_key_s_scope_narrows_who_shares_and_widens_it_never(of_settings: str, of_key: Any, shared: set[str]) -> None:
    async def play(harness: Harness) -> None:
        scope = None if of_key is None else CacheScope(share=of_key)
        harness.add_key(Limits(), cache=scope)
        others = people(harness, scope)
        await harness.flow.poller.poll()
        mine = serial(await harness.ask())
        assert {user for user, header in others.items() if serial(await harness.ask(**header)) == mine} == shared
        assert serial(await harness.ask()) == mine

    run(play, settings={"cache": {"share": of_settings}})


def test_two_keys_of_one_user_with_different_scopes_do_not_mix_up_their_plans() -> None:
    async def play(harness: Harness) -> None:
        alone, shared = harness.person("ada", cache=CacheScope(share="user")), harness.person("ada")
        await harness.flow.poller.poll()
        mine, ours = [serial(await harness.ask(**header)) for header in (alone, shared)]
        assert mine != ours
        assert [serial(await harness.ask(**header)) for header in (alone, shared, alone)] == [mine, ours, mine]

    run(play)


def test_a_key_that_keeps_exact_answers_alone_gets_no_pinned_one_and_leaves_none() -> None:
    async def play(harness: Harness) -> None:
        exact = harness.person("bob", cache=CacheScope(classes=("exact",)))
        await harness.flow.poller.poll()
        pinned = {"strategy": "random"}
        kept = await harness.ask(pinned)
        answers = [await harness.ask(pinned, **exact) for _ in range(2)]
        assert len({serial(answer) for answer in (kept, *answers)}) == 3
        assert {status_of(answer) for answer in answers} == {"fwd=bypass"}
        assert serial(await harness.ask(pinned)) == serial(kept)
        assert serial(await harness.ask(**exact)) == serial(await harness.ask())

    run(play)


@pytest.mark.parametrize(
    "settings, told",
    [({"cache": {"ttl_s": 1000.0}}, "max-stale: nothing stale is kept here"), (CACHE, "")],
)
def test_max_stale_says_in_the_answer_and_in_the_refusal_where_it_can_do_nothing(settings: Any, told: str) -> None:
    async def play(harness: Harness) -> None:
        for control in ("max-stale", "max-stale=10"):
            response = await harness.ask({"num_steps": 1}, cache_control=f"no-cache, {control}")
            assert (told in response.headers["Cache-Status"], status_of(response)) == (True, "fwd=request; stored")
            response = await harness.ask(cache_control=f"only-if-cached, {control}")
            assert (told in orjson.loads(response.body).get("detail", ""), slug(response)) == (True, "not-in-cache")
        if not told:
            assert "max-stale" not in response.body.decode()

    run(play, settings=settings)
