"""Policy, before the cache and for every caller; audit records are durable before anything happens.

A call that goes on is always on record first. Of the calls that an audited policy refuses, those that are too many for
a record each are counted in memory before the caller hears of it (`core/audit_summary.py`), and the count becomes a
record when its window ends or the worker stops. A worker that is killed loses the counts of its open windows (at most
an hour of one user's refusals after the first few), never the record of a call that went on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gateway.core.audit import Event
from gateway.core.audit_summary import Refusal, RefusalWindows, Window
from gateway.core.metrics import AUDIT_COUNTED, AUDIT_FAILURES, AUDIT_RECORDS, POLICY
from gateway.core.policy import Decision, Mode, Policy
from gateway.core.problems import AUDIT_UNAVAILABLE, Problem
from gateway.core.types import Call, Principal
from gateway.flow.runtime import Runtime
from gateway.ports import AuditLog, AuditUnavailable

LOOK_EVERY_S = 5.0
RETRY_AFTER = {"Retry-After": "30"}


class PolicyEnforcer:
    """Asks the policies in order."""

    def __init__(self, audit: AuditLog, policies: Sequence[Policy], runtime: Runtime) -> None:
        self._audit, self._policies = audit, tuple(policies)
        self._clock, self._meter, self._tasks = runtime.clock, runtime.meter, runtime.tasks
        self._windows: RefusalWindows | None = RefusalWindows()
        self._summarising = asyncio.Lock()

    @property
    def held(self) -> int:
        """Of how many users refusals are being counted."""
        return len(self._windows or ())

    async def check(self, call: Call, who: Principal, request_id: str) -> bool:
        """Returns if the call may go on, and whether a record was written about it.

        Raises the policy's problem, or 503 if the record cannot be written.
        """
        now = self._clock.now()
        audited = False
        for policy in self._policies:
            decision = policy.decide(call, who, now)
            if decision is not None:
                await self._apply(policy, decision, call, who, request_id)
                audited = audited or policy.audited
        return audited

    async def confirm(self, call: Call, who: Principal, request_id: str) -> None:
        """Raises the problem of a policy that permits this call no longer, which is on record then.

        It was checked before. In mode `observe` it goes on, as it did then.
        """
        now = self._clock.now()
        for policy in self._policies:
            decision = policy.decide(call, who, now)
            if decision is not None and not decision.permitted and policy.mode == "enforce":
                await self._record_ended(policy.name, decision.reason, call, who, request_id)
                raise Problem(decision.problem_type, decision.reason)

    async def record_key_ended(self, call: Call, who: Principal, request_id: str, reason: str) -> None:
        """A call that had been permitted does not go on: the caller's key ended."""
        await self._record_ended("key", reason, call, who, request_id)

    async def _record_ended(self, ended: str, reason: str, call: Call, who: Principal, request_id: str) -> None:
        """The caller is refused in any case: a lost record is counted and raises an alert, nothing more."""
        audited = any(policy.audited and policy.decide(call, who, self._clock.now()) for policy in self._policies)
        if not audited and self._counts(ended, "enforce", reason, call, who):
            return
        facts = {"ended": ended, "reason": reason}
        with suppress(Problem):
            await self._tasks.run(self._record("permission_ended", call, who, request_id, facts))

    async def _apply(self, policy: Policy, decision: Decision, call: Call, who: Principal, request_id: str) -> None:
        self._meter.count(POLICY, policy.name, policy.mode, "permitted" if decision.permitted else "refused")
        refused = not decision.permitted and policy.mode == "enforce"
        if policy.audited and not (refused and self._counts(policy.name, policy.mode, decision.reason, call, who)):
            kind = "policy_permitted" if decision.permitted else "policy_refused"
            facts: dict[str, object] = {"policy": policy.name, "mode": policy.mode, "reason": decision.reason}
            if decision.facts:
                facts["details"] = decision.facts
            record = self._record(kind, call, who, request_id, facts)
            # A refusal is on record even where its caller hangs up meanwhile; any other call then does not go on.
            await (self._tasks.run(record) if refused else record)
        if refused:
            raise Problem(decision.problem_type, decision.reason)

    def _counts(self, policy: str, mode: Mode, reason: str, call: Call, who: Principal) -> bool:
        """Whether this refusal is counted instead of recorded. After `close` there is nobody to write the count."""
        if self._windows is None:
            return False
        digest = call.canonical_digest.hex()
        refusal = Refusal(
            policy,
            mode,
            reason,
            user=who.user,
            team=who.team,
            key=who.key.public_id,
            endpoint=call.endpoint,
            model=call.model,
            call=digest,
            at=self._clock.now(),
        )
        if self._windows.add(refusal, self._clock.monotonic()):
            return False
        self._meter.count(AUDIT_COUNTED, policy)
        return True

    async def forever(self) -> None:
        """Write down what was counted in each window that has ended."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self._tasks.run(self.summarise())

    async def summarise(self) -> None:
        """One look at the windows."""
        async with self._summarising:
            if self._windows is not None:
                await self._write(self._windows, self._windows.due(self._clock.monotonic()))

    async def close(self) -> None:
        """Write down everything that was counted, because the worker stops. What cannot be written is lost, counted."""
        async with self._summarising:
            windows, self._windows = self._windows, None
            if windows is not None:
                await self._write(windows, windows.close())

    async def _write(self, windows: RefusalWindows, ended: Sequence[Window]) -> None:
        left = list(ended)
        try:
            while left:
                await self._append(Event("policy_refusals", self._clock.now(), left[0].facts()))
                del left[0]
        except Problem:
            return  # counted; the next look tries again
        finally:
            for window in left:
                windows.put_back(window, self._clock.monotonic())

    async def record_outcome(self, call: Call, who: Principal, request_id: str, outcome: str) -> None:
        """How an audited call ended. It has happened: a lost record is counted and raises an alert, nothing more."""
        try:
            await self._record("policy_answered", call, who, request_id, {"outcome": outcome})
        except Problem:
            return

    async def _record(
        self, kind: str, call: Call, who: Principal, request_id: str, facts: Mapping[str, object]
    ) -> None:
        about = {
            "request": request_id,
            "user": who.user,
            "team": who.team,
            "key": who.key.public_id,
            "endpoint": call.endpoint,
            "model": call.model,
            "call": call.canonical_digest.hex(),
            **facts,
        }
        await self._append(Event(kind, self._clock.now(), about))

    async def _append(self, event: Event) -> None:
        try:
            await self._audit.append(event)
        except AuditUnavailable:
            self._meter.count(AUDIT_FAILURES)
            raise Problem(AUDIT_UNAVAILABLE, headers=RETRY_AFTER) from None
        self._meter.count(AUDIT_RECORDS, event.kind)
