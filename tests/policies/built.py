"""The policies with their default settings, and changes to some of them."""

from typing import Any

from gateway.core.policies import policies
from gateway.core.policy import Policy
from gateway.settings.model import PolicySettings


def built(**changes: Any) -> tuple[Policy, ...]:
    return policies(PolicySettings(**changes).model_dump())
