"""Cache-Status, which tells a caller where an answer came from (RFC 9211); without its cache key."""

import math

from gateway.core.cache_plan import CachePlan, Forwarded
from gateway.core.types import Imported

UPSTREAM_NO_STORE = "upstream-no-store"
"""Why an answer was not stored although its call could be: the upstream said so of this very answer."""


def cache_status_hit(plan: CachePlan, ttl_s: float, imported: Imported | None = None) -> str:
    """Cache-Status of an answer from the cache, without its key; the ttl of a stale one is negative, never 0.

    An imported answer is named as one: its class is what the sampler would do, and not a promise of this gateway.
    """
    ttl = math.floor(ttl_s) if ttl_s > 0 else min(-1, math.floor(ttl_s))
    detail = plan.detail
    if imported is not None:
        detail = f'{detail[:-1]}; imported, {"signature trusted" if imported.trusted else "not verified"}"'
    return f"esm-gateway; hit; ttl={ttl}; detail={detail}"


def cache_status_forwarded(
    plan: CachePlan, fwd: Forwarded, *, stored: bool, collapsed: bool, forbidden: bool = False
) -> str:
    """Cache-Status of an answer that was computed for this request; `forbidden`: the upstream said no-store of it."""
    parameters = ("; stored" if stored else "") + ("; collapsed" if collapsed else "")
    detail = UPSTREAM_NO_STORE if forbidden and plan.storable and not stored else _told(plan)
    return f"esm-gateway; fwd={fwd}{parameters}; detail={detail}"


def _told(plan: CachePlan) -> str:
    """The plan's detail, and whether a wish in it can do nothing here."""
    remark = idle_max_stale(plan)
    return f'{plan.detail[:-1]}; {remark}"' if remark and plan.detail.endswith('"') else plan.detail


def idle_max_stale(plan: CachePlan) -> str:
    """A remark where `max-stale` was asked for and no stale answer is ever kept; else empty."""
    asked = plan.storable and plan.directives.max_stale is not None  # which in a namespace is dropped
    return (
        "max-stale: nothing stale is kept here (cache.stale_if_error_s is 0)"
        if asked and not plan.stale_if_error_s
        else ""
    )
