"""What every ledger promises: limits that hold together or not at all, charged once, given back once."""

import asyncio

import pytest

from gateway.core.quota import DAY_S, Limit, Reservation
from gateway.ports import Ledger
from tests.contracts.backends import Backend, play


def rate(amount: int, burst: int, name: str = "user-requests") -> Limit:
    return Limit(name, "rate", "u:ada", amount, 60, burst)


def concurrency(amount: int, name: str = "user-concurrent") -> Limit:
    return Limit(name, "concurrency", "u:ada", amount, 1, amount)


def units(amount: int, name: str = "user-units") -> Limit:
    return Limit(name, "units", "u:ada", amount, DAY_S, amount)


def call(name: str, *limits: Limit, cost: int = 1) -> Reservation:
    return Reservation(name, "ada", limits, cost)


def test_a_burst_is_admitted_at_once_and_then_one_each_interval(backend: Backend) -> None:
    limits = (rate(amount=6, burst=3),)

    async def story(ledger: Ledger) -> None:
        verdicts = [await ledger.charge_rate("ada", limits, 0) for _ in range(4)]
        assert [verdict.admitted for verdict in verdicts] == [True, True, True, False]
        assert [verdict.statuses[0].remaining for verdict in verdicts] == [2, 1, 0, 0]
        assert [verdict.statuses[0].reset_s for verdict in verdicts] == [10, 20, 30, 30]
        assert verdicts[3].refused_by == limits[0]
        assert verdicts[3].retry_after_s == 10
        assert [verdict.granted for verdict in verdicts] == [1, 1, 1, 0]
        backend.clock.advance(9.999)
        assert not (await ledger.charge_rate("ada", limits, 0)).admitted
        backend.clock.advance(0.001)
        assert (await ledger.charge_rate("ada", limits, 0)).admitted
        assert not (await ledger.charge_rate("ada", limits, 0)).admitted

    play(backend.ledger(), story)


def test_a_refused_request_is_charged_to_no_limit(backend: Backend) -> None:
    wide, narrow = rate(amount=6, burst=6), rate(amount=6, burst=1, name="key-requests")

    async def story(ledger: Ledger) -> None:
        assert (await ledger.charge_rate("ada", (wide, narrow), 0)).admitted
        refused = await ledger.charge_rate("ada", (wide, narrow), 0)
        assert refused.refused_by == narrow
        assert [status.remaining for status in refused.statuses] == [5, 0]
        assert [usage.used for usage in await ledger.usage("ada", (wide, narrow))] == [5, 0]

    play(backend.ledger(), story)


@pytest.mark.parametrize("slow_first", [True, False])
def test_the_wait_satisfies_every_limit_that_refused(backend: Backend, slow_first: bool) -> None:
    quick, slow = rate(amount=6, burst=1), rate(amount=2, burst=1, name="key-requests")
    limits = (slow, quick) if slow_first else (quick, slow)

    async def story(ledger: Ledger) -> None:
        await ledger.charge_rate("ada", limits, 0)
        refused = await ledger.charge_rate("ada", limits, 0)
        assert (refused.refused_by, refused.retry_after_s) == (limits[0], 30)
        backend.clock.advance(refused.retry_after_s)
        assert (await ledger.charge_rate("ada", limits, 0)).admitted

    play(backend.ledger(), story)


@pytest.mark.parametrize("budget_first", [True, False])
def test_the_wait_for_a_reservation_satisfies_every_limit_that_refused(backend: Backend, budget_first: bool) -> None:
    limits = (units(10), concurrency(1)) if budget_first else (concurrency(1), units(10))
    backend.clock.time -= backend.clock.time % DAY_S

    async def story(ledger: Ledger) -> None:
        await ledger.reserve(call("one", *limits, cost=10), 60)
        refused = await ledger.reserve(call("two", *limits, cost=1), 60)
        assert (refused.refused_by, refused.retry_after_s) == (limits[0], DAY_S)

    play(backend.ledger(), story)


@pytest.mark.parametrize("amount", [7, 13])
def test_a_rate_that_does_not_divide_the_minute_never_gives_more_than_it_says(backend: Backend, amount: int) -> None:
    limits = (rate(amount=amount, burst=1),)

    async def story(ledger: Ledger) -> None:
        admitted = 0
        for _ in range(120 * 5):
            admitted += (await ledger.charge_rate("ada", limits, 0)).admitted
            backend.clock.advance(0.2)
        # Two minutes; the first request finds the limit whole. Asked only every 0.2 s, so some are lost to waiting.
        assert 2 * amount - 2 <= admitted <= 2 * amount + 1

    play(backend.ledger(), story)


def test_an_amount_of_nothing_admits_nobody(backend: Backend) -> None:
    async def story(ledger: Ledger) -> None:
        assert not (await ledger.charge_rate("ada", (rate(amount=0, burst=5),), 0)).admitted
        assert not (await ledger.reserve(call("one", concurrency(0)), 60)).admitted
        assert not (await ledger.reserve(call("two", units(0)), 60)).admitted

    play(backend.ledger(), story)


def test_requests_in_advance_come_out_of_a_limit_that_is_mostly_free(backend: Backend) -> None:
    limits = (rate(amount=6, burst=64),)

    async def story(ledger: Ledger) -> None:
        granted = []
        while (verdict := await ledger.charge_rate("ada", limits, 8)).admitted:
            granted.append(verdict.granted)
        # 64 free: one taken, 63 - 32 = 31 above half, of which a sixteenth is 1; below 48 free there is none to spare.
        assert granted == [2] * 8 + [1] * 48
        assert sum(granted) == 64

    play(backend.ledger(), story)


def test_no_more_in_advance_than_was_wanted_and_than_every_limit_can_spare(backend: Backend) -> None:
    wide, narrow = rate(amount=6, burst=1000), rate(amount=6, burst=100, name="key-requests")

    async def story(ledger: Ledger) -> None:
        assert (await ledger.charge_rate("ada", (wide,), 8)).granted == 9
        assert (await ledger.charge_rate("ada", (wide, narrow), 8)).granted == 1 + (99 - 50) // 16
        assert (await ledger.charge_rate("ada", (wide,), 0)).granted == 1

    play(backend.ledger(), story)


def test_requests_not_used_can_be_given_back_but_never_more_than_the_burst(backend: Backend) -> None:
    limits = (rate(amount=6, burst=64),)

    async def story(ledger: Ledger) -> None:
        for _ in range(10):
            verdict = await ledger.charge_rate("ada", limits, 0)
        await ledger.return_rate("ada", limits, 4, verdict.charged_at)
        assert (await ledger.usage("ada", limits))[0].used == 58
        await ledger.return_rate("ada", limits, 1000, verdict.charged_at)
        assert (await ledger.usage("ada", limits))[0].used == 64
        assert (await ledger.charge_rate("ada", limits, 0)).statuses[0].remaining == 63

    play(backend.ledger(), story)


def test_users_do_not_share_limits_of_the_same_name(backend: Backend) -> None:
    limits = (rate(amount=6, burst=1),)

    async def story(ledger: Ledger) -> None:
        for user in ("ada", "bob", "", "}{", "u:ada"):
            assert (await ledger.charge_rate(user, limits, 0)).admitted
            assert not (await ledger.charge_rate(user, limits, 0)).admitted

    play(backend.ledger(), story)


def test_without_limits_everything_is_admitted(backend: Backend) -> None:
    async def story(ledger: Ledger) -> None:
        assert (await ledger.charge_rate("ada", (), 3)).admitted
        assert (await ledger.reserve(call("one"), 60)).admitted
        await ledger.settle(call("one"), 0)
        await ledger.return_rate("ada", (), 3, 0)
        assert list(await ledger.usage("ada", ())) == []

    play(backend.ledger(), story)


def test_a_reservation_takes_a_lease_and_units_together_or_neither(backend: Backend) -> None:
    lease, budget = concurrency(2), units(100)

    async def story(ledger: Ledger) -> None:
        first = await ledger.reserve(call("one", lease, budget, cost=60), 60)
        assert first.admitted
        assert [status.remaining for status in first.statuses] == [1, 40]
        refused = await ledger.reserve(call("two", lease, budget, cost=41), 60)
        assert refused.refused_by == budget
        assert [status.remaining for status in refused.statuses] == [1, 40]
        assert (await ledger.reserve(call("three", lease, budget, cost=40), 60)).admitted
        assert (await ledger.reserve(call("four", lease, budget, cost=0), 60)).refused_by == lease
        assert [usage.used for usage in await ledger.usage("ada", (lease, budget))] == [2, 100]

    play(backend.ledger(), story)


def test_a_reservation_sent_twice_is_charged_once(backend: Backend) -> None:
    limits = concurrency(2), units(100)

    async def story(ledger: Ledger) -> None:
        for _ in range(3):
            verdict = await ledger.reserve(call("one", *limits, cost=60), 60)
            assert verdict.admitted
            assert [status.remaining for status in verdict.statuses] == [1, 40]

    play(backend.ledger(), story)


def test_settling_ends_the_lease_and_charges_what_it_cost_once(backend: Backend) -> None:
    limits = concurrency(1), units(100)

    async def story(ledger: Ledger) -> None:
        await ledger.reserve(call("one", *limits, cost=60), 60)
        for cost in (25, 0, 90):
            await ledger.settle(call("one", *limits, cost=60), cost)
            assert [usage.used for usage in await ledger.usage("ada", limits)] == [0, 25]
        await ledger.reserve(call("two", *limits, cost=75), 60)
        await ledger.settle(call("two", *limits, cost=75), 0)
        assert [usage.used for usage in await ledger.usage("ada", limits)] == [0, 25]

    play(backend.ledger(), story)


def test_a_reservation_that_comes_after_its_settlement_is_refused_and_charges_nothing(backend: Backend) -> None:
    limits = concurrency(1), units(100)

    async def story(ledger: Ledger) -> None:
        await ledger.settle(call("one", *limits, cost=60), 60)
        late = await ledger.reserve(call("one", *limits, cost=60), 60)
        assert late.refused_by == limits[0]
        assert [usage.used for usage in await ledger.usage("ada", limits)] == [0, 0]
        await ledger.reserve(call("two", *limits, cost=60), 60)
        await ledger.settle(call("two", *limits, cost=60), 60)
        assert not (await ledger.reserve(call("two", *limits, cost=60), 60)).admitted
        assert [usage.used for usage in await ledger.usage("ada", limits)] == [0, 60]

    play(backend.ledger(), story)


def test_a_crashed_calls_lease_ends_by_itself_and_its_units_stay(backend: Backend) -> None:
    limits = concurrency(1), units(100)

    async def story(ledger: Ledger) -> None:
        await ledger.reserve(call("crashed", *limits, cost=60), 30)
        refused = await ledger.reserve(call("next", *limits, cost=1), 30)
        assert (refused.refused_by, refused.retry_after_s) == (limits[0], 1)
        backend.clock.advance(29.999)
        assert not (await ledger.reserve(call("next", *limits, cost=1), 30)).admitted
        backend.clock.advance(0.001)
        assert [usage.used for usage in await ledger.usage("ada", limits)] == [0, 60]
        assert (await ledger.reserve(call("next", *limits, cost=40), 30)).admitted

    play(backend.ledger(), story)


def test_a_short_lease_taken_later_does_not_shorten_a_long_one(backend: Backend) -> None:
    limit = concurrency(2)

    async def story(ledger: Ledger) -> None:
        await ledger.reserve(call("long", limit), 100)
        await ledger.reserve(call("short", limit), 10)
        backend.clock.advance(50)
        assert [usage.used for usage in await ledger.usage("ada", (limit,))] == [1]

    play(backend.ledger(), story)


def test_units_are_whole_again_at_midnight_utc(backend: Backend) -> None:
    limit = units(100)
    backend.clock.time = 1_800_000_000.0 - 1_800_000_000.0 % DAY_S + DAY_S - 10

    async def story(ledger: Ledger) -> None:
        verdict = await ledger.reserve(call("one", limit, cost=100), 60)
        assert verdict.statuses[0].reset_s == 10
        refused = await ledger.reserve(call("two", limit, cost=1), 60)
        assert (refused.refused_by, refused.retry_after_s) == (limit, 10)
        backend.clock.advance(10)
        assert [usage.used for usage in await ledger.usage("ada", (limit,))] == [0]
        assert (await ledger.reserve(call("two", limit, cost=70), 60)).admitted
        await ledger.settle(call("one", limit, cost=100), 0)
        assert [usage.used for usage in await ledger.usage("ada", (limit,))] == [70]

    play(backend.ledger(), story)


def test_many_at_once_get_exactly_what_there_is(backend: Backend) -> None:
    limits = concurrency(1000), units(100)

    async def story(ledger: Ledger) -> None:
        calls = [ledger.reserve(call(f"r{i}", *limits, cost=4), 60) for i in range(50)]
        verdicts = await asyncio.gather(*calls)
        assert sum(verdict.admitted for verdict in verdicts) == 25
        assert [usage.used for usage in await ledger.usage("ada", limits)] == [25, 100]
        rates = await asyncio.gather(*(ledger.charge_rate("ada", (rate(6, burst=20),), 0) for _ in range(50)))
        assert sum(verdict.admitted for verdict in rates) == 20

    play(backend.ledger(), story)
