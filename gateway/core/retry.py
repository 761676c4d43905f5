"""What a failure of the upstream means: for the key, for this call, for the charge.

A call is tried again only where the upstream provably did no work for it: whoever retries after a lost answer pays
twice. `worked` says whether the upstream may have done the work, and so whether the charge stands.
"""

from dataclasses import dataclass
from typing import Literal

from gateway.core.problems import (
    UPSTREAM_BUSY,
    UPSTREAM_FAILED,
    UPSTREAM_REFUSED,
    UPSTREAM_TIMEOUT,
    Kind,
)

Outcome = Literal["ok", "rest", "dead", "failed", "timeout", "lost", "refused", "bad_answer", "crowded"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """`outcome` as metrics name it; what happens to the key, to this call, to its charge, to the breaker."""

    outcome: Outcome
    again: bool
    worked: bool
    harms_breaker: bool
    kind: Kind = UPSTREAM_FAILED


OK = Judgement("ok", again=False, worked=True, harms_breaker=False)
DEAD = Judgement("dead", again=True, worked=False, harms_breaker=False)
REST = Judgement("rest", again=True, worked=False, harms_breaker=False, kind=UPSTREAM_BUSY)
REFUSED = Judgement("refused", again=False, worked=False, harms_breaker=False, kind=UPSTREAM_REFUSED)
UNREADY = Judgement("failed", again=True, worked=False, harms_breaker=True)
CRASHED = Judgement("failed", again=False, worked=False, harms_breaker=True)
NOT_SENT = Judgement("lost", again=True, worked=False, harms_breaker=True)
LOST = Judgement("lost", again=False, worked=True, harms_breaker=True)
TIMED_OUT = Judgement("timeout", again=False, worked=True, harms_breaker=True, kind=UPSTREAM_TIMEOUT)
CROWDED = Judgement("crowded", again=False, worked=False, harms_breaker=False, kind=UPSTREAM_BUSY)
BAD_ANSWER = Judgement("bad_answer", again=False, worked=True, harms_breaker=True)

_BY_STATUS = {
    401: DEAD,
    402: REST,
    429: REST,
    503: UNREADY,
    504: TIMED_OUT,
}


def of_status(status: int) -> Judgement:
    """The judgement of a complete reply. 403 is about the call as often as about the key, so no key dies of it."""
    if 200 <= status < 300:
        return OK
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return REFUSED if 400 <= status < 500 else CRASHED


def of_loss(sent: bool, timed_out: bool, reason: str = "") -> Judgement:
    """The judgement of a try without a complete reply; `crowded` never left for want of a place here."""
    if reason == "crowded":
        return CROWDED
    if not sent:
        return NOT_SENT
    return TIMED_OUT if timed_out else LOST
