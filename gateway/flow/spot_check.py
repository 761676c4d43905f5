"""A share of the hits, computed again in the background and compared: how an operator learns that a model changed.

Nobody waits for it and nobody is charged: the units come from a daily budget of the whole fleet, reserved and settled
in the ledger under a name of its own. What is asked upstream is the caller's own spelling, so with rules on that let
spellings share answers, the rules are measured, too. Flagged calls are left alone (each needs its record), and so are
pools and namespaces, where a first answer stands whatever a second one would be. An answer that has just been found
right rests for a while, or the few questions that everybody asks would use the whole budget up.
"""

from collections.abc import Collection

from gateway.core import spot_check
from gateway.core.breaker import Breaker
from gateway.core.cache_plan import CachePlan
from gateway.core.lru import Lru
from gateway.core.metrics import DIVERGENCE, SPOT_CHECKS, STORE_ERRORS, UNITS
from gateway.core.quota import Reservation
from gateway.core.spot_check import BUDGET_HOLDER, SpotCheckConfig
from gateway.core.types import Answer, Call, DeterminismClass
from gateway.flow.cache import AnswerCache
from gateway.flow.dispatch import Dispatcher
from gateway.flow.reserve import HeldReservation, Reserver
from gateway.ports import Clock, Ledger, Meter, PurgeStore, StoreUnavailable, Tasks

MOST_AT_ONCE = 2
SPENT_FOR_S = 60.0
"""A spent budget is not asked about at every chosen hit."""
TOUCH_TRIES = 5
TOUCH_AGAIN_S = 1.0
RESULTS = ("same", "different", "failed", "no_budget", "busy", "recent")
# What was found right lately, by address and spelling: some thousands.
RECENT_BYTES = 4 * 2**20


class SpotChecker:
    """The second opinions of one worker. `rule_set` names the rules that make spellings share answers."""

    def __init__(
        self,
        *,
        recall: AnswerCache,
        purge_store: PurgeStore,
        dispatcher: Dispatcher,
        breaker: Breaker,
        ledger: Ledger,
        reserver: Reserver,
        clock: Clock,
        tasks: Tasks,
        meter: Meter,
        terms: SpotCheckConfig,
        lease_s: float,
        models: Collection[str],
        rule_set: str,
    ) -> None:
        self._recall, self._purge_store, self._dispatcher, self._breaker = recall, purge_store, dispatcher, breaker
        self._ledger, self._reserver, self._lease_s = ledger, reserver, lease_s
        self._clock, self._tasks, self._meter = clock, tasks, meter
        self._terms, self._rule_set = terms, rule_set
        self._under_way: set[str] = set()
        self._rests: Lru[float] = Lru(RECENT_BYTES)
        self._spent = (0, float("-inf"))
        self._left = spot_check.NEVER
        self._draw()
        self._begin(models)

    def noticed(self, plan: CachePlan, call: Call, hit: Answer) -> None:
        """One hit, as its caller gets it. Costs a subtraction, but for the few that are chosen."""
        self._left -= 1
        if self._left > 0:
            return
        self._draw()
        cache_key, now = plan.cache_key, self._clock.monotonic()
        if cache_key is None or not self._concerns(plan, call) or cache_key in self._under_way:
            return
        if now < (self._rests.get((cache_key, call.canonical_digest)) or now):
            self._meter.count(SPOT_CHECKS, "recent")
            return
        if len(self._under_way) >= MOST_AT_ONCE or self._breaker.state() != "closed":
            self._meter.count(SPOT_CHECKS, "busy")
            return
        self._under_way.add(cache_key)
        self._tasks.spawn(self._again(cache_key, plan, call, hit))

    def _draw(self) -> None:
        if self._terms.fraction > 0:
            self._left = spot_check.hits_until_next(self._terms.fraction, self._clock.token(8))

    def _begin(self, models: Collection[str]) -> None:
        """Every series is there from the start: the first divergence must be seen as a rise."""
        for result in RESULTS:
            self._meter.count(SPOT_CHECKS, result, by=0.0)
        for model in models:
            for cls in self._terms.classes:
                self._meter.count(DIVERGENCE, model, cls, self._rule_set, by=0.0)

    def _concerns(self, plan: CachePlan, call: Call) -> bool:
        shared = plan.namespace is None and plan.directives.pool is None and not call.flagged
        return shared and call.determinism.cls in self._terms.classes

    async def _again(self, cache_key: str, plan: CachePlan, call: Call, hit: Answer) -> None:
        result = "failed"
        try:
            result = await self._compared(plan, call, hit)
        finally:
            self._under_way.discard(cache_key)
            self._meter.count(SPOT_CHECKS, result)

    async def _compared(self, plan: CachePlan, call: Call, hit: Answer) -> str:
        units, until = self._spent
        if call.units >= units and self._clock.monotonic() < until:
            return "no_budget"
        held = await self._reserve(call)
        if held is None:
            return "failed"
        if held.verdict.refused_by is not None:
            self._spent = (call.units, self._clock.monotonic() + SPENT_FOR_S)
            return "no_budget"
        answer = await self._compute(held)
        if answer is None:
            return "failed"
        if spot_check.same_outputs(hit.body, answer.body):
            self._rests.put(
                (plan.cache_key, call.canonical_digest), self._clock.monotonic() + self._terms.interval_s, 128
            )
            return "same"
        await self._diverged(plan, call)
        return "different"

    async def _reserve(self, call: Call) -> HeldReservation | None:
        """The units, taken from the budget or refused; None where nobody can tell."""
        reservation = Reservation(self._clock.token(12).hex(), BUDGET_HOLDER, (self._terms.limit,), call.units)
        try:
            verdict = await self._ledger.reserve(reservation, self._lease_s)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "reserve")
            await self._take_back(reservation)
            return None
        if verdict.admitted:
            self._meter.count(UNITS, call.endpoint, "reserved", by=call.units)
        return HeldReservation(call, reservation, verdict)

    async def _take_back(self, reservation: Reservation) -> None:
        # One try: what is lost here is a little of today's budget, and nobody's.
        try:
            await self._ledger.settle(reservation, 0)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "settle")

    async def _compute(self, held: HeldReservation) -> Answer | None:
        may_have_worked = True  # as for a caller: whatever interrupts the computation, the upstream may have worked
        try:
            computed = await self._dispatcher.compute(held.call)
            may_have_worked = computed.may_have_worked
        finally:
            self._reserver.settle(held, may_have_worked)
            if may_have_worked:
                self._meter.count(UNITS, held.call.endpoint, "spot_check", by=held.call.units)
        return computed.answer

    async def _diverged(self, plan: CachePlan, call: Call) -> None:
        """Count it. An `exact` entry is wrong now and goes; of any other class the first answer is the lab's."""
        self._meter.count(DIVERGENCE, call.model, call.determinism.cls, self._rule_set)
        if call.determinism.cls is not DeterminismClass.EXACT:
            return
        await self._recall.forget(plan, call)
        for _ in range(TOUCH_TRIES):
            try:
                await self._purge_store.touch()
                return
            except StoreUnavailable:
                self._meter.count(STORE_ERRORS, "cache", "touch")
                await self._clock.sleep(TOUCH_AGAIN_S)
