"""What a policy says of a call. `None` in its place means: no business of this policy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.problems import ProblemType


@dataclass(frozen=True, slots=True)
class Decision:
    """`on_record`: an audit record must be durable before the call goes on or is refused."""

    permitted: bool
    reason: str
    kind: ProblemType
    on_record: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
