"""What is counted, for whom, over which window: the limits that one atomic script decides together.

`rate` is GCRA: `burst` requests at once, then one every 60/rpm seconds. `concurrency` counts leases that expire by
themselves. `units` is a sum per UTC day. This module decides nothing; it lists what has to be asked of the ledger.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from gateway.core.types import KeyRecord, Limits, Principal

DAY_S = 86_400
LimitKind = Literal["rate", "concurrency", "units"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One ceiling of one holder. `name` stands in RateLimit-Policy, metrics and problems; `holder` never leaves."""

    name: str
    kind: LimitKind
    holder: str
    amount: int
    window_s: int
    burst: int


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """Where one limit stands after a decision: what is left now, and seconds until it is whole again."""

    limit: Limit
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The ledger's answer. `refused_by` is the first limit that said no; then nothing at all was charged.

    `granted` is how many requests of rate were charged: 1, or more where some were taken in advance. `waited_s` is how
    long the caller stood in line for this answer.
    """

    refused_by: Limit | None
    retry_after_s: float
    statuses: tuple[LimitStatus, ...]
    granted: int = 1
    waited_s: float = 0.0

    @property
    def admitted(self) -> bool:
        return self.refused_by is None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A charge on its way: the id makes every retry of admit and settle harmless."""

    reservation_id: str
    subject: str
    limits: tuple[Limit, ...]
    units: int


@dataclass(frozen=True, slots=True)
class LimitConfig:
    """Who has which ceilings: every user the default ones, some users their own, a key those in its record."""

    default: Limits = Limits()
    users: Mapping[str, Limits] = field(default_factory=dict)

    def rate_limits(self, who: Principal) -> tuple[Limit, ...]:
        """What every request meets: request rates."""
        return tuple(limit for limit in self.all(who) if limit.kind == "rate")

    def upstream_limits(self, who: Principal) -> tuple[Limit, ...]:
        """What only a call that goes upstream meets: concurrency and units."""
        return tuple(limit for limit in self.all(who) if limit.kind != "rate")

    def all(self, who: Principal) -> tuple[Limit, ...]:
        """Every limit of a principal, the user's first."""
        return self.of_key(who.key)

    def of_key(self, record: KeyRecord) -> tuple[Limit, ...]:
        """Every limit that a call with this key meets."""
        user = self.users.get(record.user, self.default)
        return _of("user", f"u:{record.user}", user) + _of("key", f"k:{record.public_id}", record.limits)


def _of(scope: str, holder: str, limits: Limits) -> tuple[Limit, ...]:
    rows: list[Limit] = []
    if limits.requests_per_minute is not None:
        burst = limits.burst if limits.burst is not None else limits.requests_per_minute
        rows.append(Limit(f"{scope}-requests", "rate", holder, limits.requests_per_minute, 60, max(1, burst)))
    if limits.concurrent is not None:
        rows.append(Limit(f"{scope}-concurrent", "concurrency", holder, limits.concurrent, 1, limits.concurrent))
    if limits.units_per_day is not None:
        rows.append(Limit(f"{scope}-units", "units", holder, limits.units_per_day, DAY_S, limits.units_per_day))
    return tuple(rows)


def ratelimit_fields(limits: Iterable[Limit], statuses: Iterable[LimitStatus]) -> Mapping[str, str]:
    """RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers)."""
    return {"RateLimit-Policy": ratelimit_policy(limits), "RateLimit": ratelimit_state(statuses)}


def ratelimit_policy(limits: Iterable[Limit]) -> str:
    """`"user-requests";q=600;w=60, ...`: every ceiling that this caller has; concurrency has no window."""
    return ", ".join(
        f'"{limit.name}";q={limit.amount}' + (f";w={limit.window_s}" if limit.kind != "concurrency" else "")
        for limit in limits
    )


def ratelimit_state(statuses: Iterable[LimitStatus]) -> str:
    """`"user-requests";r=599;t=1, ...`: what is left, and seconds until it is whole again."""
    return ", ".join(f'"{status.limit.name}";r={status.remaining};t={ceil(status.reset_s)}' for status in statuses)
