"""What a policy is: a name, a function that decides about a call, and whether its refusals are enforced."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.core.problems import POLICY_REFUSED, ProblemType
from gateway.core.types import Call, Principal

Mode = Literal["enforce", "observe"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy says of one call, with the facts for the audit record where the policy is `audited`."""

    permitted: bool
    reason: str
    problem_type: ProblemType = POLICY_REFUSED
    facts: Mapping[str, Any] = field(default_factory=dict)


Decide = Callable[[Call, Principal, float], Decision | None]
"""(call, caller, seconds since the epoch) -> a decision, or None where the policy does not concern this call."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`name` is its name in metrics and audit records. In mode `observe` a refusal is counted and recorded only.

    Decisions of an `audited` policy are durable on the audit record before the call goes on or is refused.
    """

    name: str
    decide: Decide
    mode: Mode = "enforce"
    audited: bool = False
