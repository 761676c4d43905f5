"""RateLimit and RateLimit-Policy: where a client stands (draft-ietf-httpapi-ratelimit-headers)."""

from collections.abc import Iterable, Mapping
from math import ceil

from gateway.core.quota import Limit, LimitStatus


def fields(limits: Iterable[Limit], statuses: Iterable[LimitStatus]) -> Mapping[str, str]:
    """Both header fields: every ceiling of a caller, and where some of them stand."""
    return {"RateLimit-Policy": policy_field(limits), "RateLimit": state_field(statuses)}


def policy_field(limits: Iterable[Limit]) -> str:
    """`"user-requests";q=600;w=60, ...`: every ceiling that this caller has; concurrency has no window."""
    return ", ".join(
        f'"{limit.name}";q={limit.amount}' + (f";w={limit.window_s}" if limit.kind != "concurrency" else "")
        for limit in limits
    )


def state_field(statuses: Iterable[LimitStatus]) -> str:
    """`"user-requests";r=599;t=1, ...`: what is left, and seconds until it is whole again."""
    return ", ".join(
        f'"{status.limit.name}";r={status.remaining};t={ceil(status.reset_s)}' for status in statuses
    )
