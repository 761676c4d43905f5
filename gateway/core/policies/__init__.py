"""Policies: who may send what. Each is one file with a `decide`; they are asked in this order, before the cache."""

from collections.abc import Callable

from gateway.core.policies import concern, models
from gateway.core.policies.decision import Decision
from gateway.core.types import Call, Principal

Policy = Callable[[Call, Principal, float], Decision | None]

POLICIES: tuple[tuple[str, Policy], ...] = (
    ("models", models.decide),
    ("concern", concern.decide),
)

__all__ = ["POLICIES", "Decision", "Policy"]
