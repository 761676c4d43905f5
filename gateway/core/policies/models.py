"""Which models a virtual key may use: those in its record, or all of the gateway's."""

from collections.abc import Mapping
from typing import Any

from gateway.core.policy import Decision, Policy
from gateway.core.problems import MODEL_REFUSED
from gateway.core.types import Call, Principal


def from_settings(settings: Mapping[str, Any]) -> Policy:
    return Policy("models", decide)


def decide(call: Call, who: Principal, now: float) -> Decision | None:
    if who.key.models is None or call.model in who.key.models:
        return None
    return Decision(False, f"this key may use: {', '.join(who.key.models)}", MODEL_REFUSED)
