"""Policy, before the cache and for every caller; what must be on record is on record before anything happens.

In `observe` a refusal is counted and recorded, and the call goes on: for finding out what `enforce` would refuse.
"""

from collections.abc import Mapping
from typing import Literal

from gateway.core.audit import Event
from gateway.core.metrics import AUDIT_FAILURES, AUDIT_RECORDS, POLICY
from gateway.core.policies import POLICIES, Decision
from gateway.core.problems import AUDIT_UNAVAILABLE, Problem
from gateway.core.types import Call, Principal
from gateway.ports import AuditLog, AuditUnavailable, Clock, Meter

Mode = Literal["enforce", "observe"]


class PolicyEnforcer:
    """The policies of this house with their modes; a policy without a mode is enforced."""

    def __init__(self, audit: AuditLog, clock: Clock, meter: Meter, modes: Mapping[str, Mode]) -> None:
        self._audit, self._clock, self._meter, self._modes = audit, clock, meter, modes

    async def check(self, call: Call, who: Principal, request_id: str) -> None:
        """Returns if the call may go on; raises the policy's problem, or 503 if the record cannot be written."""
        now = self._clock.now()
        for name, decide in POLICIES:
            decision = decide(call, who, now)
            if decision is not None:
                await self._apply(name, decision, call, who, request_id)

    async def _apply(self, name: str, decision: Decision, call: Call, who: Principal, request_id: str) -> None:
        mode = self._modes.get(name, "enforce")
        self._meter.count(POLICY, name, mode, "permitted" if decision.permitted else "refused")
        if decision.on_record:
            kind = "concern_permitted" if decision.permitted else "concern_refused"
            facts = {"mode": mode, "reason": decision.reason, **decision.facts}
            await self.record(kind, call, who, request_id, facts)
        if not decision.permitted and mode == "enforce":
            raise Problem(decision.kind, decision.reason)

    async def answered(self, call: Call, who: Principal, request_id: str, outcome: str) -> None:
        """How a flagged call ended. The call has happened: a lost record is counted and alerted, not hidden."""
        try:
            await self.record("concern_answered", call, who, request_id, {"outcome": outcome})
        except Problem:
            return

    async def record(self, kind: str, call: Call, who: Principal, request_id: str, facts: Mapping[str, object]) -> None:
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
        try:
            await self._audit.append(Event(kind, self._clock.now(), about))
        except AuditUnavailable:
            self._meter.count(AUDIT_FAILURES)
            raise Problem(AUDIT_UNAVAILABLE, headers={"Retry-After": "30"}) from None
        self._meter.count(AUDIT_RECORDS, kind)
