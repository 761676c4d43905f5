"""The ledger's scripts against a model, over any order of calls, crashes, lost replies and passing time."""

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.adapters.redis_connect import connect
from gateway.adapters.redis_ledger import RedisLedger
from gateway.core.quota import DAY_S, Limit, Reservation, Verdict
from tests.contracts.servers import Stores
from tests.fakes.ledger import LedgerRules
from tests.fakes.world import FakeClock

T = TypeVar("T")
MACHINES = itertools.count()
LEASE_S = 60.0
USER_LEASES = Limit("user-concurrent", "concurrency", "u:ada", 4, 1, 4)
KEY_LEASES = Limit("key-concurrent", "concurrency", "k:abc", 2, 1, 2)
USER_UNITS = Limit("user-units", "units", "u:ada", 100, DAY_S, 100)
KEY_UNITS = Limit("key-units", "units", "k:abc", 60, DAY_S, 60)
# Intervals of many seconds: the keys' real lives must outlast a run, in which only the pretended time passes.
USER_RATE = Limit("user-requests", "rate", "u:ada", 3, 60, 200)
KEY_RATE = Limit("key-requests", "rate", "k:abc", 1, 60, 5)
WEEK_UNITS = Limit("user-units-week", "units", "u:ada", 150, 7 * DAY_S, 150)
EVERYTHING = (USER_LEASES, KEY_LEASES, USER_UNITS, WEEK_UNITS, KEY_UNITS)
RATES = (USER_RATE, KEY_RATE)


class LedgerMachine(RuleBasedStateMachine):
    """A ledger in a store and its model, told the same things; beside them, plain sums of what was admitted."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock([], start=1_800_000_000.0 - 300)
        self.loop = asyncio.new_event_loop()
        self.store = self.do(self._connect())
        self.ledger = RedisLedger(self.store, prefix=f"model{next(MACHINES)}:", now=self.clock.now)
        self.model = LedgerRules(self.clock.now)
        self.sent: list[Reservation] = []
        self.settled: set[str] = set()
        self.admitted: set[str] = set()
        self.leases: dict[str, tuple[Reservation, float]] = {}
        self.charged: dict[str, tuple[Reservation, int, float]] = {}
        self.in_advance: list[tuple[tuple[Limit, ...], int, int]] = []

    async def _connect(self) -> Any:
        return connect(self.url, timeout_s=10.0, name="model")

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.do(self.store.close())
        self.loop.close()

    @initialize(seconds=st.integers(0, DAY_S))
    def some_time_of_day(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(units=st.integers(0, 70), of_key=st.booleans())
    def reserve(self, units: int, of_key: bool) -> None:
        limits = EVERYTHING if of_key else (USER_LEASES, USER_UNITS)
        self.send(Reservation(f"r{len(self.sent)}", "ada", limits, units))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def the_reply_was_lost_and_it_is_sent_again(self, data: st.DataObject) -> None:
        self.send(data.draw(st.sampled_from(self.sent)))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), share=st.floats(0, 1))
    def settle(self, data: st.DataObject, share: float) -> None:
        reservation = data.draw(st.sampled_from(self.sent))
        self.settle_as(reservation, round(reservation.units * share))

    @rule(units=st.integers(0, 70))
    def settle_before_the_reserve_arrives(self, units: int) -> None:
        reservation = Reservation(f"r{len(self.sent)}", "ada", EVERYTHING, units)
        self.settle_as(reservation, 0)
        self.send(reservation)

    @rule(seconds=st.one_of(st.integers(1, 90), st.integers(1, DAY_S)))
    def time_passes_and_crashed_calls_are_forgotten(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.one_of(st.integers(1, 90), st.integers(1, 3 * DAY_S)))
    def the_store_s_clock_is_set_back(self, seconds: int) -> None:
        self.clock.time -= seconds
        # Which crashed calls count then, and in which window what was charged counts, is the model's to say.
        self.leases.clear()
        self.charged.clear()

    @rule(in_advance=st.integers(0, 8), of_key=st.booleans())
    def charge_rate(self, in_advance: int, of_key: bool) -> None:
        limits = RATES if of_key else (USER_RATE,)
        verdict = self.do(self.ledger.charge_rate("ada", limits, in_advance))
        assert verdict == self.model.charge_rate("ada", limits, in_advance)
        assert verdict.granted <= 1 + in_advance
        assert verdict.admitted == (verdict.granted > 0)
        if verdict.granted > 1:
            self.in_advance.append((limits, verdict.granted - 1, verdict.charged_at))

    @precondition(lambda self: self.in_advance)
    @rule(data=st.data(), share=st.floats(0, 1))
    def return_rate(self, data: st.DataObject, share: float) -> None:
        granted = data.draw(st.sampled_from(self.in_advance))
        self.in_advance.remove(granted)
        limits, count, charged_at = granted
        self.do(self.ledger.return_rate("ada", limits, round(count * share), charged_at))
        self.model.return_rate("ada", limits, round(count * share), charged_at)

    @invariant()
    def it_has_counted_what_the_model_has(self) -> None:
        limits = (*EVERYTHING, *RATES)
        assert list(self.do(self.ledger.usage("ada", limits))) == self.model.usage("ada", limits)

    @invariant()
    def no_limit_is_ever_exceeded(self) -> None:
        now = self.clock.now()
        for limit in EVERYTHING:
            if limit.kind == "concurrency":
                held = sum(limit in r.limits and ends > now for r, ends in self.leases.values())
            else:
                period = now // limit.window_s
                charged = [(cost, when) for r, cost, when in self.charged.values() if limit in r.limits]
                held = sum(cost for cost, when in charged if when // limit.window_s == period)
            assert held <= limit.amount

    def send(self, reservation: Reservation) -> None:
        verdict: Verdict = self.do(self.ledger.reserve(reservation, LEASE_S))
        assert verdict == self.model.reserve(reservation, LEASE_S)
        name = reservation.reservation_id
        assert not (name in self.settled and verdict.admitted)
        if reservation not in self.sent:
            self.sent.append(reservation)
        if verdict.admitted and name not in self.admitted:
            self.admitted.add(name)
            self.leases[name] = (reservation, self.clock.now() + LEASE_S)
            self.charged[name] = (reservation, reservation.units, self.clock.now())

    def settle_as(self, reservation: Reservation, units: int) -> None:
        self.do(self.ledger.settle(reservation, units))
        self.model.settle(reservation, units)
        name = reservation.reservation_id
        if name not in self.settled:
            self.settled.add(name)
            self.leases.pop(name, None)
            if name in self.charged:
                self.charged[name] = (reservation, units, self.charged[name][2])


@pytest.mark.filterwarnings("ignore:.*:hypothesis.errors.NonInteractiveExampleWarning")
def test_the_scripts_do_what_the_model_does_and_never_exceed_a_limit(stores: Stores) -> None:
    machine = type("Machine", (LedgerMachine,), {"url": stores.state.url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
