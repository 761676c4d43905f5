"""Policy, before the cache and for every caller; audit records are durable before anything happens."""

from collections.abc import Mapping, Sequence

from gateway.core.audit import Event
from gateway.core.metrics import AUDIT_FAILURES, AUDIT_RECORDS, POLICY
from gateway.core.policy import Decision, Policy
from gateway.core.problems import AUDIT_UNAVAILABLE, Problem
from gateway.core.types import Call, Principal
from gateway.flow.runtime import Runtime
from gateway.ports import AuditLog, AuditUnavailable


class PolicyEnforcer:
    """Asks the policies in order."""

    def __init__(self, audit: AuditLog, policies: Sequence[Policy], runtime: Runtime) -> None:
        self._audit, self._policies = audit, tuple(policies)
        self._clock, self._meter = runtime.clock, runtime.meter

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

    async def _apply(self, policy: Policy, decision: Decision, call: Call, who: Principal, request_id: str) -> None:
        self._meter.count(POLICY, policy.name, policy.mode, "permitted" if decision.permitted else "refused")
        if policy.audited:
            kind = "policy_permitted" if decision.permitted else "policy_refused"
            facts: dict[str, object] = {"policy": policy.name, "mode": policy.mode, "reason": decision.reason}
            if decision.facts:
                facts["details"] = decision.facts
            await self._record(kind, call, who, request_id, facts)
        if not decision.permitted and policy.mode == "enforce":
            raise Problem(decision.problem_type, decision.reason)

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
        try:
            await self._audit.append(Event(kind, self._clock.now(), about))
        except AuditUnavailable:
            self._meter.count(AUDIT_FAILURES)
            raise Problem(AUDIT_UNAVAILABLE, headers={"Retry-After": "30"}) from None
        self._meter.count(AUDIT_RECORDS, kind)
