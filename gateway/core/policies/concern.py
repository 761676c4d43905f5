"""Declared sequences of concern: only users with a grant in force may send them, and every such call is on record."""

from gateway.core.nouns import Call, Grant, Principal
from gateway.core.policies.decision import Decision
from gateway.core.problems import CONCERN_REFUSED

_ASK = "ask an administrator for an approval, or send potential_sequence_of_concern: false"


def decide(call: Call, who: Principal, now: float) -> Decision | None:
    if not call.flagged:
        return None
    grant = next((grant for grant in who.grants if in_force(grant, call.model, now)), None)
    if grant is None:
        return Decision(False, _ASK, CONCERN_REFUSED, on_record=True)
    return Decision(True, "granted", CONCERN_REFUSED, on_record=True, facts={"grant": grant.grant_id})


def in_force(grant: Grant, model: str, now: float) -> bool:
    """Whether a grant covers this model now: approved by two people, not revoked, not expired."""
    covers = grant.models is None or model in grant.models
    return covers and grant.revoked is None and now < grant.expires and len(set(grant.approved_by)) >= 2
