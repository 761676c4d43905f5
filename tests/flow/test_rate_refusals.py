"""Refusals from memory: how long they stand, how long they are held, and how many of them."""

import asyncio

import pytest

from gateway.core.problems import Problem
from gateway.core.quota import LimitConfig, Verdict
from gateway.core.types import Limits
from gateway.flow.admission import ALLOWANCE_S
from gateway.flow.rate_refusals import HELD, HELD_PER_USER, HOLD_S, RateRefusals
from gateway.flow.runtime import BackgroundTasks
from tests.flow.harness import Parts, a_principal
from tests.flow.test_admission import WIDE, a_desk, admit, in_store, left

LIMITS = LimitConfig().rate_limits(a_principal(Limits(requests_per_minute=2, burst=2)))
REFUSED = Verdict(LIMITS[0], 30.0, ())


def test_a_refusal_stands_until_its_time_and_counts_down() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        refusals = RateRefusals(parts.runtime(tasks))
        assert refusals.standing(LIMITS) is None
        refusals.remember(LIMITS, REFUSED)
        for seconds, remaining in ((0, 30.0), (10, 20.0), (19.5, 0.5)):
            await parts.clock.sleep(seconds)
            standing = refusals.standing(LIMITS)
            assert standing is not None
            assert round(standing.retry_after_s, 3) == remaining
        await parts.clock.sleep(0.5)
        assert refusals.standing(LIMITS) is None

    parts.play(act)


def test_what_was_given_back_ends_a_refusal_and_other_limits_have_none() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        refusals = RateRefusals(parts.runtime(tasks))
        refusals.remember(LIMITS, REFUSED)
        others = LimitConfig().rate_limits(a_principal(Limits(requests_per_minute=3, burst=2)))
        assert refusals.standing(others) is None
        refusals.forget(LIMITS)
        assert refusals.standing(LIMITS) is None

    parts.play(act)


def test_refusals_of_a_hundred_thousand_users_take_bounded_memory() -> None:
    parts = Parts()
    refusals = RateRefusals(parts.runtime())
    for n in range(100_000):
        limits = LimitConfig(Limits(requests_per_minute=2)).rate_limits(a_principal(user=f"u{n}"))
        refusals.remember(limits, REFUSED)
    assert len(refusals._standing) < 5_000
    assert refusals.standing(limits) is not None


@pytest.mark.parametrize("wait, held", [(30.0, HOLD_S), (0.2, 0.2), (0.0, 0.0)])
def test_a_refusal_is_held_for_half_a_second_and_no_longer_than_its_time(wait: float, held: float) -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        refusals, start = RateRefusals(parts.runtime(tasks)), parts.clock.time
        verdict = await refusals.hold("ada", Verdict(LIMITS[0], wait, ()))
        assert round(parts.clock.time - start, 3) == round(verdict.waited_s, 3) == held
        assert round(verdict.retry_after_s, 3) == wait - held

    parts.play(act)


def test_few_are_held_for_a_user_and_for_all_and_the_rest_is_told_at_once() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        refusals = RateRefusals(parts.runtime(tasks))

        async def count(*users: str) -> int:
            verdicts = await asyncio.gather(*(refusals.hold(user, REFUSED) for user in users for _ in range(100)))
            return sum(verdict.waited_s > 0 for verdict in verdicts)

        assert await count("ada") == HELD_PER_USER
        assert await count("ada", "bob") == 2 * HELD_PER_USER
        assert await count(*(f"u{n}" for n in range(20))) == HELD
        hung_up = asyncio.ensure_future(refusals.hold("ada", REFUSED))
        await asyncio.sleep(0)
        hung_up.cancel()
        await asyncio.gather(hung_up, return_exceptions=True)
        assert await count("ada") == HELD_PER_USER
        assert refusals._held == {}

    parts.play(act)


def test_of_those_who_wait_only_the_first_asks_the_store() -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=600, burst=1))

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks, max_wait_s=2.0)
        told = await asyncio.gather(*(admit(desk, who) for _ in range(90)), return_exceptions=True)
        admitted = [fields for fields in told if not isinstance(fields, BaseException)]
        assert 19 <= len(admitted) <= 21
        # The first, each of those who waited, and one more refusal after each of them.
        assert in_store(parts) <= 2 * len(admitted) + 1

    parts.play(act)


def test_a_flood_of_refusals_asks_no_store_until_the_time_that_it_names() -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=2, burst=2))

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks, max_wait_s=2.0)
        await admit(desk, who)
        await admit(desk, who)
        await parts.clock.sleep(5.3)
        for _ in range(10):
            told = await asyncio.gather(*(admit(desk, who) for _ in range(300)), return_exceptions=True)
            assert {each.type.slug for each in told if isinstance(each, Problem)} == {"rate-exceeded"}
        assert in_store(parts) == 3
        last = told[0]
        assert isinstance(last, Problem)
        # Ten times half a second later: 30 - 5.3 - 5.
        assert last.headers["Retry-After"] == "20"
        assert last.detail == "2 requests a minute; the next one frees up in 20 s."
        assert last.headers["RateLimit"] == '"key-requests";r=0;t=50'
        await parts.clock.sleep(20.0)
        await admit(desk, who)

    parts.play(act)


def test_one_who_cannot_wait_is_refused_by_the_memory_of_another_s_refusal() -> None:
    parts, one, two = Parts(), a_principal(user="ada"), a_principal(user="ada", public_id="k2")
    config = LimitConfig(Limits(requests_per_minute=2, burst=2))

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks, max_wait_s=2.0, config=config)
        for who in (one, two, one, two, one):
            await asyncio.gather(admit(desk, who), return_exceptions=True)
        assert in_store(parts) == 3

    parts.play(act)


@pytest.mark.parametrize("pause", [ALLOWANCE_S, ALLOWANCE_S + 0.005, 0.3])
def test_an_allowance_is_not_kept_alive_by_a_charge_now_and_then(pause: float) -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=600, burst=600))

    async def act(tasks: BackgroundTasks) -> None:
        desks = [a_desk(parts, tasks) for _ in range(2)]
        for desk in desks * 18:
            await admit(desk, who)
        assert all(desk._allowances[who.key.public_id].left > 3 for desk in desks)
        for _ in range(300):
            for desk in desks:
                await admit(desk, who)
                await desk.sweep()
            await parts.clock.sleep(pause)
        admitted = 0
        for desk in desks:
            told = await asyncio.gather(*(admit(desk, who) for _ in range(700)), return_exceptions=True)
            admitted += sum(not isinstance(each, BaseException) for each in told)
        # An allowance may be a quarter of a second old, in which two requests became free.
        assert admitted <= 600 + 2

    parts.play(act)


def test_what_is_given_back_late_is_less_by_what_became_free_meanwhile() -> None:
    parts, who = Parts(), a_principal(Limits(requests_per_minute=6000, burst=6000))

    async def act(tasks: BackgroundTasks) -> None:
        first, second = a_desk(parts, tasks), a_desk(parts, tasks)
        for _ in range(4):
            await admit(first, who)
        in_advance = first._allowances[who.key.public_id].left
        assert in_advance > 0
        await parts.clock.sleep(0.3)
        taken = 0
        while left(parts, who):
            await admit(second, who)
            taken += 1
        await first.sweep()
        await second.close()
        taken += left(parts, who)
        assert taken <= 6000

    parts.play(act)


def test_what_one_key_gives_back_lets_another_of_the_user_in_before_the_time_named() -> None:
    parts, one, two = Parts(), a_principal(user="ada"), a_principal(user="ada", public_id="k2")
    config = LimitConfig(Limits(requests_per_minute=2, burst=200))

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks, config=config)
        for _ in range(4):
            await admit(desk, one)
        in_advance = desk._allowances["k1"].left
        told = await asyncio.gather(*(admit(desk, two) for _ in range(201)), return_exceptions=True)
        assert isinstance(told[-1], Problem)
        asked = in_store(parts)
        await parts.clock.sleep(ALLOWANCE_S)
        await desk.sweep()
        assert in_advance > 0
        await admit(desk, two)
        assert in_store(parts) > asked

    parts.play(act)


def test_wide_limits_are_still_served_from_the_allowance() -> None:
    parts, who = Parts(), a_principal(WIDE)

    async def act(tasks: BackgroundTasks) -> None:
        desk = a_desk(parts, tasks)
        for _ in range(200):
            await admit(desk, who)
        assert in_store(parts) < 12

    parts.play(act)
