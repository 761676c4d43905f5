"""What callers ask of the cache in Cache-Control, from the request to the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from gateway.core.nouns import CacheScope, Limits
from gateway.core.wish import DIRECTIVES
from gateway.ports import UpstreamReply, UpstreamRequest
from tests.flow.house import House, answering, serial, slug, status_of

CACHE = {"cache": {"ttl_s": 1000.0, "stale_if_error_s": 500.0}}


def run(play: Callable[[House], Awaitable[None]], **house: Any) -> None:
    async def whole() -> None:
        await play(await House(**house).opened())

    asyncio.run(whole())


@pytest.mark.parametrize(
    "control, age, hit",
    [
        ("max-age=60", 60, True),
        ("max-age=60", 61, False),
        ('Max-Age="60"', 61, False),
        ("max-age=0", 1, False),
        ("max-age=abc", 999, True),
        ("min-fresh=400", 600, True),
        ("min-fresh=400", 601, False),
        ("max-age=700, min-fresh=400", 650, False),
        ("max-stale", 1400, True),
        ("max-stale=100", 1100, True),
        ("max-stale=100", 1101, False),
        ("max-stale=100, max-age=1050", 1060, False),
        ("max-stale=100, no-cache", 10, False),
        ("private, x=y", 999, True),
        ("private, x=y", 1000, False),
    ],
)
def test_ages_that_were_asked_for_are_honoured(control: str, age: float, hit: bool) -> None:
    async def play(house: House) -> None:
        first = await house.ask()
        await house.later(age)
        second = await house.ask(cache_control=control)
        assert (serial(second) == serial(first)) is hit
        assert house.sent() == (1 if hit else 2)
        if hit:
            assert second.headers["Age"] == str(int(age))
            assert status_of(second) == f"hit; ttl={int(1000 - age)}"
        else:
            assert second.headers["Age"] == "0"
            assert status_of(second).startswith("fwd=")

    run(play, settings=CACHE)


def test_an_answer_that_was_too_old_for_one_is_replaced_for_all() -> None:
    async def play(house: House) -> None:
        first = await house.ask()
        await house.later(100)
        second = await house.ask(cache_control="max-age=60")
        assert serial(first) != serial(second) == serial(await house.ask())

    run(play, settings=CACHE)


def test_of_two_at_once_with_different_wishes_each_gets_what_it_asked_for() -> None:
    async def play(house: House) -> None:
        old = await house.ask()
        await house.later(100)
        patient, impatient = await asyncio.gather(house.ask(), house.ask(cache_control="max-age=60"))
        assert serial(patient) == serial(old) != serial(impatient)

    run(play, settings=CACHE)


def test_an_expired_answer_is_computed_anew_once_for_all_who_ask_at_once() -> None:
    async def play(house: House) -> None:
        old = await house.ask()
        await house.later(1001)
        answers = await asyncio.gather(*(house.ask() for _ in range(10)))
        (new,) = {serial(answer) for answer in answers}
        assert new != serial(old)
        assert house.sent() == 2
        assert sum("stored" in status_of(answer) for answer in answers) == 10

    run(play, settings=CACHE)


def test_an_entry_that_another_process_left_stale_is_no_answer_of_the_fleet() -> None:
    async def play(house: House) -> None:
        old = await house.ask()
        await house.later(1001)
        get = house.memory.cache.get

        async def missed(address: str) -> bytes | None:
            await get(address)
            return None

        house.memory.cache.get = missed  # type: ignore[method-assign]
        new = await house.ask()
        assert serial(new) != serial(old)
        assert house.sent() == 2

    run(play, settings=CACHE)


def test_all_who_want_nothing_older_than_their_question_share_what_was_made_since() -> None:
    async def play(house: House) -> None:
        gate = asyncio.Event()

        async def slow(request: UpstreamRequest) -> UpstreamReply:
            await gate.wait()
            return answering(request)

        old = await house.ask()
        await house.later(10)
        house.memory.upstream.answer = slow
        asking = [asyncio.ensure_future(house.ask(cache_control="max-age=0")) for _ in range(10)]
        while house.sent() == 1:
            await asyncio.sleep(0)
        house.memory.clock.advance(1.5)
        gate.set()
        (new,) = {serial(await each) for each in asking}
        assert new != serial(old)
        assert house.sent() == 2

    run(play, settings=CACHE)


@pytest.mark.parametrize("control", ["no-cache", "no-store", "max-age=0"])
def test_only_if_cached_never_goes_upstream_whatever_else_is_asked(control: str) -> None:
    async def play(house: House) -> None:
        await house.ask()
        await house.later(5)
        response = await house.ask(cache_control=f"only-if-cached, {control}")
        assert (response.status, slug(response)) == (504, "not-in-cache")
        assert house.sent() == 1
        assert serial(await house.ask(cache_control="only-if-cached")) == serial(await house.ask())

    run(play, settings=CACHE)


def test_no_store_leaves_nothing_behind_and_reads_nothing() -> None:
    async def play(house: House) -> None:
        first = await house.ask(cache_control="no-store")
        assert not house.memory.cache.entries
        second = await house.ask()
        third = await house.ask(cache_control="no-store")
        assert len({serial(answer) for answer in (first, second, third)}) == 3
        assert serial(await house.ask()) == serial(second)

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
def test_a_directive_outside_the_key_s_scope_is_refused_by_its_name_before_anything_is_charged(name: str) -> None:
    async def play(house: House) -> None:
        house.add_key(Limits(requests_per_minute=100), cache=CacheScope(directives=tuple(set(DIRECTIVES) - {name})))
        await house.namespace("paper")
        await house.ask()
        house.memory.journal.clear()
        response = await house.ask(cache_control=ALL[name])
        assert (response.status, slug(response)) == (403, "cache-control-refused")
        assert orjson.loads(response.body)["detail"] == f"This key may not use: {name}."
        assert not [effect for effect in await house.settled() if effect.startswith(("ledger", "upstream"))]
        assert serial(await house.ask(cache_control="private"))

    run(play)


def test_a_directive_of_ours_without_sense_is_a_400() -> None:
    async def play(house: House) -> None:
        for control in ("pool=a/b", "sample=0, pool=lab", "sample=2", "namespace=a b"):
            response = await house.ask(cache_control=control)
            assert (response.status, slug(response)) == (400, "cache-control-invalid")
        assert house.sent() == 0

    run(play)


def people(house: House, scope: CacheScope | None = None) -> dict[str, dict[str, str]]:
    teams = {"bob": "proteins", "cyd": "cells"}
    return {user: house.person(user, team, cache=scope) for user, team in teams.items()}


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
    async def play(house: House) -> None:
        scope = None if of_key is None else CacheScope(share=of_key)
        house.add_key(Limits(), cache=scope)
        others = people(house, scope)
        await house.flow.watch.look()
        mine = serial(await house.ask())
        assert {user for user, header in others.items() if serial(await house.ask(**header)) == mine} == shared
        assert serial(await house.ask()) == mine

    run(play, settings={"cache": {"share": of_settings}})


def test_two_keys_of_one_user_with_different_scopes_do_not_mix_up_their_plans() -> None:
    async def play(house: House) -> None:
        alone, shared = house.person("ada", cache=CacheScope(share="user")), house.person("ada")
        await house.flow.watch.look()
        mine, ours = [serial(await house.ask(**header)) for header in (alone, shared)]
        assert mine != ours
        assert [serial(await house.ask(**header)) for header in (alone, shared, alone)] == [mine, ours, mine]

    run(play)


def test_a_key_that_keeps_exact_answers_alone_gets_no_pinned_one_and_leaves_none() -> None:
    async def play(house: House) -> None:
        exact = house.person("bob", cache=CacheScope(classes=("exact",)))
        await house.flow.watch.look()
        pinned = {"strategy": "random"}
        kept = await house.ask(pinned)
        answers = [await house.ask(pinned, **exact) for _ in range(2)]
        assert len({serial(answer) for answer in (kept, *answers)}) == 3
        assert {status_of(answer) for answer in answers} == {"fwd=bypass"}
        assert serial(await house.ask(pinned)) == serial(kept)
        assert serial(await house.ask(**exact)) == serial(await house.ask())

    run(play)
