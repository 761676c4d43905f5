"""Declared sequences of concern: only users with an approval in force may send them; every such call is recorded."""

from collections.abc import Mapping
from typing import Any

from gateway.core.policy import Decision, Policy
from gateway.core.problems import CONCERN_REFUSED
from gateway.core.types import Approval, Call, Principal

# The approval comes first: whoever declares honestly must not read here that it is quicker not to.
_REMEDY = (
    "Ask an administrator for an approval; only if the declaration was a mistake, send the call again without "
    "potential_sequence_of_concern."
)


def from_settings(settings: Mapping[str, Any]) -> Policy:
    return Policy("concern", decide, settings["concern"], audited=True)


def decide(call: Call, who: Principal, now: float) -> Decision | None:
    if not call.flagged:
        return None
    approval = next((approval for approval in who.approvals if in_force(approval, call.model, now)), None)
    if approval is None:
        return Decision(False, _REMEDY, CONCERN_REFUSED)
    return Decision(True, "approved", CONCERN_REFUSED, facts={"approval": approval.approval_id})


def in_force(approval: Approval, model: str, now: float) -> bool:
    """Whether an approval covers this model now: approved by two people, not revoked, not expired."""
    covers = approval.models is None or model in approval.models
    return covers and approval.revoked is None and now < approval.expires and len(set(approval.approved_by)) >= 2
