"""Declared sequences of concern: only users with a grant in force may send them, and every such call is on record."""

from gateway.core.policies.decision import Decision
from gateway.core.problems import CONCERN_REFUSED
from gateway.core.types import Approval, Call, Principal

_ASK = "ask an administrator for an approval, or send potential_sequence_of_concern: false"


def decide(call: Call, who: Principal, now: float) -> Decision | None:
    if not call.flagged:
        return None
    approval = next((approval for approval in who.approvals if in_force(approval, call.model, now)), None)
    if approval is None:
        return Decision(False, _ASK, CONCERN_REFUSED, on_record=True)
    return Decision(True, "granted", CONCERN_REFUSED, on_record=True, facts={"approval": approval.approval_id})


def in_force(approval: Approval, model: str, now: float) -> bool:
    """Whether a grant covers this model now: approved by two people, not revoked, not expired."""
    covers = approval.models is None or model in approval.models
    return covers and approval.revoked is None and now < approval.expires and len(set(approval.approved_by)) >= 2
