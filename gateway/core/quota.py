"""What is limited, for whom, over which window, and the RateLimit fields of an answer.

`rate` is GCRA: `burst` requests at once, then one every 60/rpm seconds. `concurrency` counts leases, which expire by
TTL. `units` is a sum per window, counted since 1970 in UTC: a day. One atomic script of the ledger decides about all
limits of a call together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from gateway.core.types import KeyRecord, Limits, Principal

DAY_S = 86_400
# The draft's default is requests. Units are not in its registry, so they are named after this product: a client that
# does not know the word cannot take a budget of units for one of requests.
QUOTA_UNITS = {"rate": "", "concurrency": ';qu="concurrent-requests"', "units": ';qu="esmgw-units"'}
MAX_AMOUNT = 10**12
"""Of any limit. Sums stay exact: the stores' scripts count in doubles, up to 2**53."""
LimitKind = Literal["rate", "concurrency", "units"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of one user or key. `name` appears in RateLimit-Policy, metrics and problems; `holder` is internal."""

    name: str
    kind: LimitKind
    holder: str
    amount: int
    window_s: int
    burst: int


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """What is left of one limit after a decision, and seconds until all of it is available again."""

    limit: Limit
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The ledger's decision. `refused_by` is the first exhausted limit; then nothing was charged.

    `granted` is how many requests were charged to the rate: 1, or more where some were charged in advance; `charged_at`
    is when, in microseconds of the ledger's own clock. `waited_s` is how long the caller waited in the queue.
    """

    refused_by: Limit | None
    retry_after_s: float
    statuses: tuple[LimitStatus, ...]
    granted: int = 1
    waited_s: float = 0.0
    charged_at: int = 0

    @property
    def admitted(self) -> bool:
        return self.refused_by is None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A charge that is not final yet. Its id makes retries of reserve and settle idempotent."""

    reservation_id: str
    subject: str
    limits: tuple[Limit, ...]
    units: int


@dataclass(frozen=True, slots=True)
class LimitConfig:
    """Which limits apply to whom: the default ones or a user's own, and those in the record of a key."""

    default: Limits = Limits()
    users: Mapping[str, Limits] = field(default_factory=dict)

    def rate_limits(self, who: Principal) -> tuple[Limit, ...]:
        """The limits of every request: request rates."""
        return tuple(limit for limit in self.all(who) if limit.kind == "rate")

    def upstream_limits(self, who: Principal) -> tuple[Limit, ...]:
        """The limits of a call that goes upstream: concurrency and units."""
        return tuple(limit for limit in self.all(who) if limit.kind != "rate")

    def all(self, who: Principal) -> tuple[Limit, ...]:
        """Every limit of a principal, those of the user first."""
        return self.of_key(who.key)

    def of_key(self, record: KeyRecord) -> tuple[Limit, ...]:
        """Every limit of a call with this key."""
        user = self.users.get(record.user, self.default)
        return _limits("user", f"u:{record.user}", user) + _limits("key", f"k:{record.public_id}", record.limits)


def _limits(scope: str, holder: str, limits: Limits) -> tuple[Limit, ...]:
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
    """`"user-requests";q=600;w=60, ...`: every limit of a caller; concurrency has no window."""
    return ", ".join(
        f'"{limit.name}";q={limit.amount}{QUOTA_UNITS[limit.kind]}'
        + (f";w={limit.window_s}" if limit.kind != "concurrency" else "")
        for limit in limits
    )


def ratelimit_state(statuses: Iterable[LimitStatus]) -> str:
    """`"user-requests";r=599;t=1, ...`: what is left, and seconds until all of it is available again."""
    return ", ".join(f'"{status.limit.name}";r={status.remaining};t={ceil(status.reset_s)}' for status in statuses)


def with_fields(fields: Mapping[str, str], more: Mapping[str, str]) -> Mapping[str, str]:
    """All of both; `RateLimit` is a list (RFC 8941 section 3.1) and has the items of both."""
    if not more or not fields:
        return fields or more
    both = {**fields, **more}
    if "RateLimit" in fields and "RateLimit" in more:
        both["RateLimit"] = f"{fields['RateLimit']}, {more['RateLimit']}"
    return both
