"""The rate limit holds to the single request: given back late, with the clock set back, and on damaged counters."""

import asyncio

import pytest

from gateway.adapters.redis_ledger import RedisLedger
from gateway.core.quota import DAY_S, Limit, Reservation, Verdict
from gateway.ports import Ledger, StoreUnavailable
from tests.contracts.backends import Backend, play

WEEK_S = 7 * DAY_S


def rate(amount: int, burst: int, name: str = "user-requests") -> Limit:
    return Limit(name, "rate", "u:ada", amount, 60, burst)


def units(amount: int, window_s: int = DAY_S, name: str = "user-units") -> Limit:
    return Limit(name, "units", "u:ada", amount, window_s, amount)


def call(name: str, *limits: Limit, cost: int = 60) -> Reservation:
    return Reservation(name, "ada", limits, cost)


async def used(ledger: Ledger, *limits: Limit) -> list[int]:
    return [usage.used for usage in await ledger.usage("ada", limits)]


async def all_there_is(ledger: Ledger, *limits: Limit) -> int:
    """How many requests are admitted now, until one is refused."""
    admitted = 0
    while (verdict := await ledger.charge_rate("ada", limits, 0)).admitted:
        admitted += verdict.granted
    return admitted


async def in_advance(ledger: Ledger, *limits: Limit) -> tuple[int, Verdict]:
    """One request, and as many more as are to be had."""
    verdict = await ledger.charge_rate("ada", limits, 256)
    assert verdict.granted > 1
    return verdict.granted - 1, verdict


# A key lives as long in real time as its limit takes to fill, so these take seconds: the test stands still meanwhile.
@pytest.mark.parametrize("amount, burst", [(600, 600), (6000, 900), (6000, 640), (90, 64)])
@pytest.mark.parametrize("after_s", [0.02, 0.3, 1.5])
def test_what_is_given_back_late_lets_nobody_over_the_limit(
    backend: Backend, amount: int, burst: int, after_s: float
) -> None:
    limit = rate(amount, burst)

    async def story(ledger: Ledger) -> None:
        advance, verdict = await in_advance(ledger, limit)
        backend.clock.advance(after_s)
        admitted = await all_there_is(ledger, limit)
        await ledger.return_rate("ada", (limit,), advance, verdict.charged_at)
        admitted += await all_there_is(ledger, limit)
        # In this one instant at most a burst, and with the first request no more than what was freed since.
        assert admitted <= burst
        assert burst - 1 <= 1 + admitted <= burst + after_s * amount / 60

    play(backend.ledger(), story)


def test_each_limit_gets_back_what_has_not_become_free_at_its_own_pace(backend: Backend) -> None:
    quick, slow = rate(60_000, 640), rate(60, 6400, name="key-requests")

    async def story(ledger: Ledger) -> None:
        advance, verdict = await in_advance(ledger, quick, slow)
        backend.clock.advance(0.5)
        await ledger.return_rate("ada", (quick, slow), advance, verdict.charged_at)
        assert await used(ledger, quick, slow) == [640, 6399]

    play(backend.ledger(), story)


def test_what_is_given_back_after_the_clock_was_set_back_is_not_given_back(backend: Backend) -> None:
    limit = rate(6, 640)

    async def story(ledger: Ledger) -> None:
        advance, verdict = await in_advance(ledger, limit)
        backend.clock.time -= 30.0
        before = await used(ledger, limit)
        await ledger.return_rate("ada", (limit,), advance, verdict.charged_at)
        assert await used(ledger, limit) == before

    play(backend.ledger(), story)


@pytest.mark.parametrize("back_s", [2.0, 3600.0, 40 * DAY_S])
@pytest.mark.parametrize("amount, burst", [(600, 600), (60, 5), (7, 1)])
def test_a_clock_that_is_set_back_costs_at_most_a_burst_and_admits_not_one_more(
    backend: Backend, amount: int, burst: int, back_s: float
) -> None:
    limit, interval_s = rate(amount, burst), 60 / amount

    async def story(ledger: Ledger) -> None:
        assert await all_there_is(ledger, limit) == burst
        backend.clock.time -= back_s
        refused = await ledger.charge_rate("ada", (limit,), 0)
        assert not refused.admitted
        assert refused.retry_after_s <= interval_s + 0.001
        backend.clock.advance(interval_s + 0.002)
        assert await all_there_is(ledger, limit) == 1
        backend.clock.advance(burst * interval_s + 0.002)
        assert await all_there_is(ledger, limit) == burst

    play(backend.ledger(), story)


def test_who_has_used_next_to_nothing_is_served_again_within_one_interval_of_a_clock_set_back(backend: Backend) -> None:
    wide, narrow = rate(600, 600), rate(60, 2, name="key-requests")

    async def story(ledger: Ledger) -> None:
        assert (await ledger.charge_rate("ada", (wide, narrow), 0)).admitted
        backend.clock.time -= 3600.0
        refused = await ledger.charge_rate("ada", (wide, narrow), 0)
        assert (refused.admitted, refused.retry_after_s) == (False, 1.0)
        backend.clock.advance(1.0)
        assert (await ledger.charge_rate("ada", (wide, narrow), 0)).admitted

    play(backend.ledger(), story)


@pytest.mark.parametrize("back_s", [3600.0, 40 * DAY_S])
def test_a_spent_budget_is_spent_with_the_clock_set_back_and_whole_again_at_the_next_midnight(
    backend: Backend, back_s: float
) -> None:
    budget = units(100)
    backend.clock.time -= backend.clock.time % DAY_S - 60  # a minute after midnight

    async def story(ledger: Ledger) -> None:
        assert (await ledger.reserve(call("one", budget, cost=100), 60)).admitted
        backend.clock.time -= back_s
        assert await used(ledger, budget) == [100]
        assert not (await ledger.reserve(call("two", budget, cost=1), 60)).admitted
        backend.clock.time += DAY_S - backend.clock.time % DAY_S
        assert await used(ledger, budget) == [0]
        assert (await ledger.reserve(call("two", budget, cost=100), 60)).admitted

    play(backend.ledger(), story)


def test_a_refund_after_the_clock_was_set_back_is_a_refund(backend: Backend) -> None:
    budget = units(100)
    backend.clock.time -= backend.clock.time % DAY_S - 60

    async def story(ledger: Ledger) -> None:
        await ledger.reserve(call("one", budget), 60)
        backend.clock.time -= 3600.0
        await ledger.reserve(call("two", budget, cost=30), 60)
        assert await used(ledger, budget) == [90]
        await ledger.settle(call("one", budget), 0)
        assert await used(ledger, budget) == [30]

    play(backend.ledger(), story)


@pytest.mark.parametrize("week_first", [True, False])
def test_limits_with_different_windows_are_counted_each_by_its_own(backend: Backend, week_first: bool) -> None:
    day, week = units(100), units(150, WEEK_S, "user-units-week")
    limits = (week, day) if week_first else (day, week)
    backend.clock.time -= backend.clock.time % WEEK_S - 60

    async def story(ledger: Ledger) -> None:
        assert (await ledger.reserve(call("one", *limits), 60)).admitted
        assert await used(ledger, day, week) == [60, 60]
        backend.clock.advance(DAY_S)
        assert await used(ledger, day, week) == [0, 60]
        assert (await ledger.reserve(call("two", *limits), 60)).admitted
        assert await used(ledger, day, week) == [60, 120]
        refused = await ledger.reserve(call("three", *limits, cost=31), 60)
        assert (refused.refused_by, refused.retry_after_s) == (week, WEEK_S - DAY_S - 60)
        # Yesterday's call is refunded where its period still runs, and nowhere else.
        await ledger.settle(call("one", *limits), 0)
        assert await used(ledger, day, week) == [60, 60]
        await ledger.settle(call("two", *limits), 10)
        assert await used(ledger, day, week) == [10, 10]
        backend.clock.advance(WEEK_S)
        assert await used(ledger, day, week) == [0, 0]

    play(backend.ledger(), story)


def test_in_advance_is_what_the_narrowest_limit_can_spare_wherever_it_stands(backend: Backend) -> None:
    wide, narrow = rate(6, 1000), rate(6, 100, name="key-requests")

    async def story(ledger: Ledger) -> None:
        for limits in ((narrow, wide), (wide, narrow)):
            verdict = await ledger.charge_rate("ada", limits, 100)
            assert verdict.granted <= 1 + (99 - 50) // 16
        admitted = 0
        while (verdict := await ledger.charge_rate("ada", (narrow, wide), 100)).admitted:
            admitted += verdict.granted
            assert (await used(ledger, narrow))[0] >= 0
        assert (await used(ledger, wide))[0] >= 900

    play(backend.ledger(), story)


ARRIVALS = (
    b"",
    b"nonsense",
    b"nan",
    b"inf",
    b"-5",
    b"0x10",
    b"18000000000",
    b"1.8e15",
    b" 1800000000000000",
    b"\xff\xfe",
)
SUMS = (
    b"",
    b"junk",
    b"20833",
    b"20833:",
    b":5",
    b"20833:-5",
    b"20833:nan",
    b"20833:5:5",
    b"x:5",
    b"20833:" + b"9" * 40,
)
OTHER_KINDS = (("LPUSH", "x"), ("SADD", "x"), ("HSET", "a", "b"))


@pytest.mark.parametrize("junk", [*ARRIVALS, *OTHER_KINDS])
def test_a_damaged_rate_admits_nobody_and_is_left_as_it_is(server: Backend, junk: bytes | tuple[str, ...]) -> None:
    limit, other = rate(600, 600), rate(60, 60, name="key-requests")

    async def story(ledger: Ledger) -> None:
        verdict = await ledger.charge_rate("ada", (other, limit), 0)
        async with server.store() as store:
            key = f"{server.prefix}{{u:ada}}:user-requests:u:ada"
            words = (("SET", key, junk),) if isinstance(junk, bytes) else ((junk[0], key, *junk[1:]),)
            await store.call("clear", "DEL", key)
            for command in words:
                await store.call("junk", *command)
            before, of_other = await store.call("dump", "DUMP", key), await used(ledger, other)
            for ask in (
                lambda: ledger.charge_rate("ada", (limit,), 5),
                lambda: ledger.charge_rate("ada", (other, limit), 0),
                lambda: ledger.return_rate("ada", (other, limit), 1, verdict.charged_at),
                lambda: ledger.usage("ada", (limit,)),
            ):
                with pytest.raises(StoreUnavailable):
                    await ask()
            assert (await store.call("dump", "DUMP", key), await used(ledger, other)) == (before, of_other)
            await store.call("repair", "DEL", key)
        assert (await ledger.charge_rate("ada", (limit,), 0)).admitted

    play(server.ledger(), story)


@pytest.mark.parametrize("junk", [*SUMS, *OTHER_KINDS])
def test_a_damaged_sum_of_units_permits_nothing_and_is_left_as_it_is(
    server: Backend, junk: bytes | tuple[str, ...]
) -> None:
    budget, other = units(100), units(100, name="key-units")

    async def story(ledger: Ledger) -> None:
        await ledger.reserve(call("open", other, budget, cost=10), 60)
        async with server.store() as store:
            key = f"{server.prefix}{{u:ada}}:user-units:u:ada"
            await store.call("clear", "DEL", key)
            words = ("SET", key, junk) if isinstance(junk, bytes) else (junk[0], key, *junk[1:])
            await store.call("junk", *words)
            before = await store.call("dump", "DUMP", key)
            for ask in (
                lambda: ledger.reserve(call("next", budget, cost=1), 60),
                lambda: ledger.reserve(call("next", other, budget, cost=1), 60),
                lambda: ledger.settle(call("open", other, budget, cost=10), 0),
                lambda: ledger.usage("ada", (budget,)),
            ):
                with pytest.raises(StoreUnavailable):
                    await ask()
            assert (await store.call("dump", "DUMP", key), await used(ledger, other)) == (before, [10])
            await store.call("repair", "DEL", key)
        # Nothing was half done: what could not be settled then is settled now.
        await ledger.settle(call("open", other, budget, cost=10), 0)
        assert await used(ledger, other) == [0]

    play(server.ledger(), story)


@pytest.mark.parametrize("junk", [b"", b"junk", b"o:", b"o:x:1", b"o", b"settled", b"o:5:20833 "])
def test_a_damaged_record_of_a_reservation_is_no_reservation(server: Backend, junk: bytes) -> None:
    lease, budget = Limit("user-concurrent", "concurrency", "u:ada", 5, 1, 5), units(100)

    async def story(ledger: Ledger) -> None:
        await ledger.reserve(call("one", lease, budget, cost=10), 60)
        async with server.store() as store:
            key = f"{server.prefix}{{u:ada}}:reservation:one"
            await store.call("junk", "SET", key, junk)
            with pytest.raises(StoreUnavailable):
                await ledger.reserve(call("one", lease, budget, cost=10), 60)
            with pytest.raises(StoreUnavailable):
                await ledger.settle(call("one", lease, budget, cost=10), 0)
            assert await used(ledger, lease, budget) == [1, 10]

    play(server.ledger(), story)


def test_without_a_clock_of_the_test_s_own_the_store_says_when_it_charged(server: Backend) -> None:
    limit = rate(6, 640)

    async def story() -> None:
        async with server.store() as store:
            ledger = RedisLedger(store, prefix=server.prefix)
            seconds, micros = await store.call("time", "TIME")
            advance, verdict = await in_advance(ledger, limit)
            assert 0 <= verdict.charged_at - (int(seconds) * 1_000_000 + int(micros)) < 60_000_000
            await ledger.return_rate("ada", (limit,), advance, verdict.charged_at)
            assert await used(ledger, limit) == [639]

    asyncio.run(story())
