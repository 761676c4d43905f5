"""Misbehaviour on request: slow, refused, cut short, oversized or dropped answers, for tests and drills.

A rule applies to the next calls that it matches, in the order of the list, as often as `times` says (always without
it). At most one rule applies to a call. The sandbox never misbehaves by itself.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.sandbox.answers import ENDPOINTS

Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]


def _known(endpoint: str) -> str:
    if endpoint not in ENDPOINTS:
        raise ValueError(f"the sandbox has no such endpoint; it has: {', '.join(ENDPOINTS)}")
    return endpoint


class Fault(BaseModel):
    """What goes wrong with a call. Everything left out behaves as usual.

    `latency_s` replaces the usual time of the work. `first_byte_s` passes after the work, before anything is sent;
    `middle_s` after half of the body. A `status` of 300 or more answers without work. `body` and `content_type`
    replace what would be sent. `drop` closes the connection without an answer. `truncate_at` announces the whole body
    and sends that many bytes of it.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    latency_s: Seconds | None = None
    first_byte_s: Seconds = 0
    middle_s: Seconds = 0
    status: Annotated[int, Field(ge=200, le=599)] = 200
    retry_after: Annotated[int, Field(ge=0, le=86400)] | Annotated[str, Field(max_length=100)] | None = None
    body: str | None = None
    content_type: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+-]+(; ?[\w.+=-]+)*$")] | None = None
    drop: Literal["before_work", "after_work"] | None = None
    truncate_at: Annotated[int, Field(ge=0)] | None = None
    pad_bytes: Annotated[int, Field(ge=0, le=1 << 30)] = 0
    warning_messages: list[str] | None = None
    wrap_data: bool = False

    @property
    def refuses(self) -> bool:
        """Whether the call is answered without doing its work."""
        return self.status >= 300 or self.drop == "before_work"


class Rule(Fault):
    """A fault, and the calls that it is for: an endpoint, an upstream key (its end is enough), a number of times."""

    endpoint: Annotated[str, AfterValidator(_known)] | None = None
    key: Annotated[str, Field(min_length=1)] | None = None
    times: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_way_to_end(self) -> "Rule":
        if self.drop is not None and self.truncate_at is not None:
            raise ValueError("drop and truncate_at exclude each other")
        return self

    def matches(self, endpoint: str, key: str) -> bool:
        return self.endpoint in (None, endpoint) and (self.key is None or key.endswith(self.key))


class Rules(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    rules: list[Rule]


NO_FAULT = Fault()


class FaultBook:
    """The rules in force and how often each may still apply."""

    def __init__(self) -> None:
        self._rules: list[tuple[Rule, int | None]] = []

    def __repr__(self) -> str:
        return f"FaultBook({len(self._rules)} rules)"

    def add(self, rules: Sequence[Rule]) -> None:
        self._rules.extend((rule, rule.times) for rule in rules)

    def clear(self) -> None:
        self._rules.clear()

    def listed(self) -> list[dict[str, object]]:
        """The rules as they were given, `times` being what is left of it."""
        return [
            {**rule.model_dump(exclude_unset=True, exclude={"key", "times"}), "times": left, "key": _end(rule.key)}
            for rule, left in self._rules
        ]

    def take(self, endpoint: str, key: str) -> Fault:
        """The fault for this call; using a rule up removes it."""
        for index, (rule, left) in enumerate(self._rules):
            if rule.matches(endpoint, key):
                if left == 1:
                    del self._rules[index]
                elif left is not None:
                    self._rules[index] = (rule, left - 1)
                return rule
        return NO_FAULT


def _end(key: str | None) -> str | None:
    return key and key[-4:]
