"""Spot checks: a share of the hits, computed again in the background and compared, to notice a model that changed.

No caller waits for one and nobody is charged: the units come from a daily budget of all workers together, reserved and
settled in the ledger under a name of its own. The caller's own spelling is sent upstream, so the rules by which
spellings share answers are checked, too. Flagged calls are left out (each needs its audit record), and so are pools
and namespaces, where the first answer counts in any case. An entry that was just confirmed is not checked again for a
while; the few calls that everybody makes would otherwise use up the budget.
"""

from gateway.core import spot_check
from gateway.core.cache_plan import CachePlan
from gateway.core.lru import Lru
from gateway.core.metrics import DIVERGENCE, SPOT_CHECKS, STORE_ERRORS, UNITS
from gateway.core.purge_state import Purge
from gateway.core.quota import Reservation
from gateway.core.spot_check import BUDGET_HOLDER, SpotCheckConfig
from gateway.core.types import Answer, Call, DeterminismClass
from gateway.flow.dispatch import Dispatcher
from gateway.flow.local_cache import LocalCache
from gateway.flow.reserve import HeldReservation, Reserver
from gateway.flow.runtime import Runtime
from gateway.flow.shared_cache import SharedCache
from gateway.flow.turns import Turns
from gateway.flow.upstream_queue import UpstreamQueue
from gateway.ports import Ledger, PurgeStore, StoreUnavailable

MAX_CONCURRENT = 2
SPENT_FOR_S = 60.0
"""A spent budget is not asked about at every chosen hit."""
PURGE_ATTEMPTS = 5
PURGE_PAUSE_S = 1.0
RESULTS = ("same", "different", "failed", "no_budget", "busy", "recent")
# Entries confirmed recently, by cache key and spelling: some thousands.
CONFIRMED_BYTES = 4 * 2**20


class SpotCheckBudget:
    """The units of spot checks, of all workers together."""

    def __init__(
        self, ledger: Ledger, reserver: Reserver, config: SpotCheckConfig, runtime: Runtime, lease_s: float
    ) -> None:
        self._ledger, self._reserver, self._limit, self._lease_s = ledger, reserver, config.limit, lease_s
        self._clock, self._meter = runtime.clock, runtime.meter

    async def reserve(self, call: Call) -> HeldReservation | None:
        """The units, reserved or refused; None where the ledger is lost."""
        reservation = Reservation(self._clock.token(12).hex(), BUDGET_HOLDER, (self._limit,), call.units)
        try:
            verdict = await self._ledger.reserve(reservation, self._lease_s)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "reserve")
            await self._cancel(reservation)
            return None
        if verdict.admitted:
            self._meter.count(UNITS, call.endpoint, "reserved", by=call.units)
        return HeldReservation(call, reservation, verdict)

    def settle(self, held: HeldReservation, may_have_worked: bool) -> None:
        self._reserver.settle(held, may_have_worked)
        if may_have_worked:
            self._meter.count(UNITS, held.call.endpoint, "spot_check", by=held.call.units)

    async def _cancel(self, reservation: Reservation) -> None:
        # One attempt: what is lost here is a little of today's budget, and nobody's quota.
        try:
            await self._ledger.settle(reservation, 0)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "settle")


class SpotChecker:
    """The spot checks of one worker."""

    def __init__(
        self,
        cache: SharedCache,
        local_cache: LocalCache,
        purge_store: PurgeStore,
        dispatcher: Dispatcher,
        queue: UpstreamQueue,
        budget: SpotCheckBudget,
        config: SpotCheckConfig,
        runtime: Runtime,
    ) -> None:
        self._cache, self._local_cache, self._purge_store = cache, local_cache, purge_store
        self._dispatcher, self._queue, self._budget, self._config = dispatcher, queue, budget, config
        self._clock, self._tasks, self._meter = runtime.clock, runtime.tasks, runtime.meter
        self._running: set[str] = set()
        self._confirmed: Lru[float] = Lru(CONFIRMED_BYTES)
        self._spent = (0, float("-inf"))
        self._hits_left = spot_check.NEVER
        self._choose_next()
        self._create_series()

    @property
    def bytes(self) -> int:
        """What is remembered of earlier checks takes this."""
        return self._confirmed.bytes

    def consider(self, plan: CachePlan, call: Call, hit: Answer) -> None:
        """One hit, as its caller gets it. Costs a subtraction, but for the few that are chosen."""
        self._hits_left -= 1
        if self._hits_left > 0:
            return
        self._choose_next()
        cache_key, now = plan.cache_key, self._clock.monotonic()
        if cache_key is None or not self._concerns(plan, call) or cache_key in self._running:
            return
        if now < (self._confirmed.get((cache_key, call.canonical_digest)) or now):
            self._meter.count(SPOT_CHECKS, "recent")
            return
        if len(self._running) >= MAX_CONCURRENT or not self._queue.is_healthy():
            self._meter.count(SPOT_CHECKS, "busy")
            return
        self._running.add(cache_key)
        self._tasks.start(self._check(cache_key, call, hit))

    def _choose_next(self) -> None:
        if self._config.fraction > 0:
            self._hits_left = spot_check.hits_until_next(self._config.fraction, self._clock.token(8))

    def _create_series(self) -> None:
        """Every series exists from the start: the first divergence must be seen as a rise."""
        for result in RESULTS:
            self._meter.count(SPOT_CHECKS, result, by=0.0)
        for model in self._config.models:
            for cls in self._config.classes:
                self._meter.count(DIVERGENCE, model, cls, self._config.rule_set, by=0.0)

    def _concerns(self, plan: CachePlan, call: Call) -> bool:
        shared = plan.namespace is None and plan.directives.pool is None and not call.flagged
        return shared and call.determinism.cls in self._config.classes

    async def _check(self, cache_key: str, call: Call, hit: Answer) -> None:
        result = "failed"
        try:
            result = await self._compare(cache_key, call, hit)
        finally:
            self._running.discard(cache_key)
            self._meter.count(SPOT_CHECKS, result)

    async def _compare(self, cache_key: str, call: Call, hit: Answer) -> str:
        units, until = self._spent
        if call.units >= units and self._clock.monotonic() < until:
            return "no_budget"
        held = await self._budget.reserve(call)
        if held is None:
            return "failed"
        if held.verdict.refused_by is not None:
            self._spent = (call.units, self._clock.monotonic() + SPENT_FOR_S)
            return "no_budget"
        answer = await self._compute(held)
        if answer is None:
            return "failed"
        if spot_check.same_outputs(hit.body, answer.body):
            self._confirmed.put(
                (cache_key, call.canonical_digest), self._clock.monotonic() + self._config.interval_s, 128
            )
            return "same"
        await self._diverged(cache_key, call)
        return "different"

    async def _compute(self, held: HeldReservation) -> Answer | None:
        may_have_worked = True  # as for a caller: whatever interrupts the computation, the upstream may have worked
        try:
            request = self._queue.request_for(BUDGET_HOLDER, held.call, 0.0, patient=False)
            computed = await self._dispatcher.compute(held.call, Turns(self._queue, request, self._clock))
            may_have_worked = computed.may_have_worked
        finally:
            self._budget.settle(held, may_have_worked)
        # A hollow answer says nothing about the one that is stored.
        return None if computed.answer is None or computed.answer.doubtful else computed.answer

    async def _diverged(self, cache_key: str, call: Call) -> None:
        """Count it. A wrong `exact` entry is deleted everywhere; of any other class the first answer stays."""
        self._meter.count(DIVERGENCE, call.model, call.determinism.cls, self._config.rule_set)
        if call.determinism.cls is not DeterminismClass.EXACT:
            return
        self._local_cache.forget(cache_key)
        await self._cache.delete(cache_key)
        for _ in range(PURGE_ATTEMPTS):
            try:
                await self._purge_store.purge(Purge(key=cache_key))
                return
            except StoreUnavailable:
                self._meter.count(STORE_ERRORS, "cache", "purge")
                await self._clock.sleep(PURGE_PAUSE_S)
