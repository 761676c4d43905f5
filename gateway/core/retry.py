"""What an outcome at the upstream means: for the upstream key, the call, its charge and the circuit breaker.

A call is retried only where the upstream certainly did no work for it: a retry after a lost answer would pay twice.
Where the upstream may have worked, the charge is final.
"""

from dataclasses import dataclass, replace
from typing import Literal

from gateway.core.problems import (
    ANSWER_TOO_LARGE,
    ANSWER_UNSAFE,
    UPSTREAM_BUSY,
    UPSTREAM_FAILED,
    UPSTREAM_REFUSED,
    UPSTREAM_TIMEOUT,
    ProblemType,
)

OutcomeName = Literal[
    "ok",
    "cooling_down",
    "disabled",
    "failed",
    "timeout",
    "lost",
    "refused",
    "bad_answer",
    "hollow",
    "too_large",
    "not_sent",
]


@dataclass(frozen=True, slots=True)
class UpstreamOutcome:
    """`name` is the label in metrics; `problem_type` what the caller gets.

    `key_refusal`: it is about the upstream key, which may rest for it, and the call goes back into the queue.
    `counts_as_failure`: it is about the upstream's health, or this call's. Our own limits are neither.
    """

    name: OutcomeName
    retry: bool
    may_have_worked: bool
    counts_as_failure: bool
    problem_type: ProblemType = UPSTREAM_FAILED
    key_refusal: Literal["cooling_down", "disabled"] | None = None


OK = UpstreamOutcome("ok", retry=False, may_have_worked=True, counts_as_failure=False)
KEY_DISABLED = UpstreamOutcome(
    "disabled",
    retry=True,
    may_have_worked=False,
    counts_as_failure=False,
    problem_type=UPSTREAM_BUSY,
    key_refusal="disabled",
)
KEY_COOLING_DOWN = UpstreamOutcome(
    "cooling_down",
    retry=True,
    may_have_worked=False,
    counts_as_failure=False,
    problem_type=UPSTREAM_BUSY,
    key_refusal="cooling_down",
)
REFUSED = UpstreamOutcome(
    "refused", retry=False, may_have_worked=False, counts_as_failure=False, problem_type=UPSTREAM_REFUSED
)
UNAVAILABLE = UpstreamOutcome("failed", retry=True, may_have_worked=False, counts_as_failure=True)
# A 500 says something about the call first. It is looked at a second time before it is told (core/crash_memory.py).
CRASHED = UpstreamOutcome("failed", retry=True, may_have_worked=False, counts_as_failure=True)
FAILED = UpstreamOutcome("failed", retry=False, may_have_worked=False, counts_as_failure=True)
NOT_CONNECTED = UpstreamOutcome("lost", retry=True, may_have_worked=False, counts_as_failure=True)
LOST = UpstreamOutcome("lost", retry=False, may_have_worked=True, counts_as_failure=True)
TIMED_OUT = UpstreamOutcome(
    "timeout", retry=False, may_have_worked=True, counts_as_failure=True, problem_type=UPSTREAM_TIMEOUT
)
# What is wrong with an answer says something about the upstream once several different calls show it.
BAD_ANSWER = UpstreamOutcome("bad_answer", retry=False, may_have_worked=True, counts_as_failure=False)
UNSAFE_ANSWER = replace(BAD_ANSWER, problem_type=ANSWER_UNSAFE)
HOLLOW_ANSWER = replace(BAD_ANSWER, name="hollow")
# Complete, but nobody here could read it: the reader process ended or could not be started.
UNREAD = UpstreamOutcome("bad_answer", retry=False, may_have_worked=True, counts_as_failure=False)
TOO_LARGE = UpstreamOutcome(
    "too_large", retry=False, may_have_worked=True, counts_as_failure=False, problem_type=ANSWER_TOO_LARGE
)
# No descriptor or no memory here: nothing was sent, and it says nothing about the upstream.
NOT_SENT = UpstreamOutcome(
    "not_sent", retry=True, may_have_worked=False, counts_as_failure=False, problem_type=UPSTREAM_BUSY
)

_BY_STATUS = {
    401: KEY_DISABLED,
    402: KEY_COOLING_DOWN,
    429: KEY_COOLING_DOWN,
    500: CRASHED,
    503: UNAVAILABLE,
    504: TIMED_OUT,
}
_BY_REASON = {"too_large": TOO_LARGE, "own_limit": NOT_SENT}


def of_answer(verdict: str, *, hollow: bool, several: bool) -> UpstreamOutcome:
    """The outcome of a complete success by what its answer is worth; `several` different calls had such answers."""
    by_verdict = {"broken": BAD_ANSWER, "unsafe": UNSAFE_ANSWER}
    outcome = by_verdict.get(verdict, HOLLOW_ANSWER if hollow else OK)
    return replace(outcome, counts_as_failure=True) if several and outcome is not OK else outcome


def of_status(status: int) -> UpstreamOutcome:
    """The outcome of a complete reply. A 403 may be about the call, so it does not disable the key."""
    if 200 <= status < 300:
        return OK
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return REFUSED if 400 <= status < 500 else FAILED


def of_loss(sent: bool, timed_out: bool, reason: str = "") -> UpstreamOutcome:
    """The outcome without a complete reply. Reasons of our own: `too_large` (the answer), `own_limit` (descriptors)."""
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    if not sent:
        return NOT_CONNECTED
    return TIMED_OUT if timed_out else LOST
