"""Where an answer lives in the cache, whether it may be read or kept, and how the caller is told (RFC 9211).

The cache key is an HMAC-SHA-256 under the gateway's secret of everything that may set two answers apart: upstream,
rules, purge epoch, who shares with whom, the flag, and the canonical call. Nothing about a call can be read from it.
"""

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from gateway.core.nouns import Call, Class, Principal

RULE_SET = "wire-1"
BYPASS_REASONS = ("disabled", "endpoint", "no-store", "exact", "pinned", "sampled", "unknown", "store")
"""Why the cache can have no part in a call. A class among them: the settings do not keep it, or nobody may."""
Share = Literal["organisation", "team", "user"]


@dataclass(frozen=True, slots=True)
class Scheme:
    """What the settings say about the cache. `secret` is derived for this purpose alone."""

    secret: bytes
    upstream: str
    enabled: bool = True
    classes: Collection[str] = ("exact", "pinned")
    share: Share = "organisation"
    ttl_s: float = 2_592_000.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked for in Cache-Control (RFC 9111 section 5.2.1); unknown directives are ignored."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`address` is None where an answer could not be shared at all, and `reason` says why.

    With the store out of sight there is an address still, by which equal calls at once find each other in a process.
    """

    address: str | None
    reason: str
    wish: Wish
    ttl_s: float
    keep_first: bool
    in_sight: bool = True

    @property
    def storable(self) -> bool:
        return self.address is not None and self.in_sight

    @property
    def readable(self) -> bool:
        return self.storable and not self.wish.no_cache


NO_WISH = Wish()


def wish(header: str | None) -> Wish:
    if not header:
        return NO_WISH
    directives = {part.split("=", 1)[0].strip().lower() for part in header.split(",")}
    return Wish("no-cache" in directives, "no-store" in directives, "only-if-cached" in directives)


def plan(call: Call, who: Principal, scheme: Scheme, epoch: int | None, cacheable: bool, asked: Wish) -> Plan:
    """The plan of one call. `epoch` is None while the cache store is out of sight."""
    reason = _bypass(call, scheme, cacheable, asked)
    if reason is not None:
        return Plan(None, reason, asked, 0.0, keep_first=False)
    address = _address(call, who, scheme, epoch)
    if epoch is None:
        return Plan(address, "store", asked, 0.0, keep_first=False, in_sight=False)
    keep_first = call.determinism.cls is Class.PINNED and not asked.no_cache
    return Plan(address, call.determinism.cls, asked, scheme.ttl_s, keep_first)


def _bypass(call: Call, scheme: Scheme, cacheable: bool, asked: Wish) -> str | None:
    if not scheme.enabled:
        return "disabled"
    if not cacheable:
        return "endpoint"
    if asked.no_store:
        return "no-store"
    cls = call.determinism.cls
    return cls if cls not in scheme.classes or cls is Class.SAMPLED else None


def holder(who: Principal, scheme: Scheme) -> str:
    """The name of those who share an entry; empty for everybody."""
    return who.user if scheme.share == "user" else who.team if scheme.share == "team" else ""


def _address(call: Call, who: Principal, scheme: Scheme, epoch: int | None) -> str:
    shared_by, model, upstream = holder(who, scheme), call.model, scheme.upstream
    # With its length before each part that somebody else writes, no two sets of parts make the same text.
    text = (
        f"{RULE_SET} {epoch} {call.flagged} {scheme.share} "
        f"{len(shared_by)}:{shared_by} {len(model)}:{model} {len(upstream)}:{upstream} "
    )
    return hmac.new(scheme.secret, text.encode() + call.canonical, sha256).hexdigest()


def status_hit(cls: Class, ttl_s: float) -> str:
    """Cache-Status of an answer from the cache; the key is withheld."""
    return f"esm-gateway; hit; ttl={int(ttl_s)}; detail={cls}"


def status_forwarded(plan: Plan, *, stored: bool, collapsed: bool) -> str:
    """Cache-Status of an answer that was computed now."""
    why = "bypass" if not plan.storable else "request" if plan.wish.no_cache else "miss"
    marks = ("; stored" if stored else "") + ("; collapsed" if collapsed else "")
    return f"esm-gateway; fwd={why}{marks}; detail={plan.reason}"
