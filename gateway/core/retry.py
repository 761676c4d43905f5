"""What an outcome at the upstream means: for the upstream key, the call, its charge and the circuit breaker.

A call is retried only where the upstream certainly did no work for it: a retry after a lost answer would pay twice.
Where the upstream may have worked, the charge is final.
"""

from dataclasses import dataclass
from typing import Literal

from gateway.core.problems import (
    UPSTREAM_BUSY,
    UPSTREAM_FAILED,
    UPSTREAM_REFUSED,
    UPSTREAM_TIMEOUT,
    ProblemType,
)

OutcomeName = Literal[
    "ok", "cooling_down", "disabled", "failed", "timeout", "lost", "refused", "bad_answer", "pool_full"
]


@dataclass(frozen=True, slots=True)
class UpstreamOutcome:
    """`name` is the label in metrics; `kind` is the problem that the caller gets."""

    name: OutcomeName
    retry: bool
    may_have_worked: bool
    counts_as_failure: bool
    problem_type: ProblemType = UPSTREAM_FAILED


OK = UpstreamOutcome("ok", retry=False, may_have_worked=True, counts_as_failure=False)
KEY_DISABLED = UpstreamOutcome("disabled", retry=True, may_have_worked=False, counts_as_failure=False)
KEY_COOLING_DOWN = UpstreamOutcome(
    "cooling_down", retry=True, may_have_worked=False, counts_as_failure=False, problem_type=UPSTREAM_BUSY
)
REFUSED = UpstreamOutcome(
    "refused", retry=False, may_have_worked=False, counts_as_failure=False, problem_type=UPSTREAM_REFUSED
)
UNAVAILABLE = UpstreamOutcome("failed", retry=True, may_have_worked=False, counts_as_failure=True)
CRASHED = UpstreamOutcome("failed", retry=False, may_have_worked=False, counts_as_failure=True)
NOT_SENT = UpstreamOutcome("lost", retry=True, may_have_worked=False, counts_as_failure=True)
LOST = UpstreamOutcome("lost", retry=False, may_have_worked=True, counts_as_failure=True)
TIMED_OUT = UpstreamOutcome(
    "timeout", retry=False, may_have_worked=True, counts_as_failure=True, problem_type=UPSTREAM_TIMEOUT
)
POOL_FULL = UpstreamOutcome(
    "pool_full", retry=False, may_have_worked=False, counts_as_failure=False, problem_type=UPSTREAM_BUSY
)
BAD_ANSWER = UpstreamOutcome("bad_answer", retry=False, may_have_worked=True, counts_as_failure=True)

_BY_STATUS = {
    401: KEY_DISABLED,
    402: KEY_COOLING_DOWN,
    429: KEY_COOLING_DOWN,
    503: UNAVAILABLE,
    504: TIMED_OUT,
}


def of_status(status: int) -> UpstreamOutcome:
    """The outcome of a complete reply. A 403 may be about the call, so it does not disable the key."""
    if 200 <= status < 300:
        return OK
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return REFUSED if 400 <= status < 500 else CRASHED


def of_loss(sent: bool, timed_out: bool, reason: str = "") -> UpstreamOutcome:
    """The outcome without a complete reply; with reason `pool_full` no connection was free, and nothing was sent."""
    if reason == "pool_full":
        return POOL_FULL
    if not sent:
        return NOT_SENT
    return TIMED_OUT if timed_out else LOST
