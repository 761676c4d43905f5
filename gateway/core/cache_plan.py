"""Where an answer lives in the cache, whether it may be read or kept, and how the caller is told (RFC 9211).

The cache key is an HMAC-SHA-256 under the gateway's secret of everything that may set two answers apart: upstream,
rules, purges, who shares with whom, the flag, the sample, and the canonical call. Nothing about a call can be read
from it.
"""

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

from gateway.core.cache_directives import NO_DIRECTIVES, CacheDirectives, parse_directives
from gateway.core.problems import NAMESPACE_FROZEN, UNKNOWN_NAMESPACE, Problem
from gateway.core.purge_state import PurgeState
from gateway.core.types import Answer, Call, DeterminismClass, Namespace, Principal

BYPASS_REASONS = ("disabled", "endpoint", "no-store", "exact", "pinned", "sampled", "unknown", "store")
"""Why the cache can have no part in a call. A class among them: the settings do not keep it, or nobody may."""
Share = Literal["organisation", "team", "user"]
FOREVER_S = 1e10
DEFAULT_NAMESPACE = "default"
"""The name of what is no namespace: the shared cache. A key with a namespace of its own leaves it by this name."""


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """What the settings say about the cache. `secret` is derived for this purpose alone, `rule_set` names the rules.

    An entry is kept `stale_if_error_s` longer than it is fresh, to answer while the upstream is down.
    """

    secret: bytes
    upstream: str
    enabled: bool = True
    classes: Collection[str] = ("exact", "pinned")
    share: Share = "organisation"
    ttl_s: float = 2_592_000.0
    stale_if_error_s: float = 0.0
    rule_set: str = "wire-2"


@dataclass(frozen=True, slots=True)
class CachePlan:
    """`cache_key` is None where an answer could not be shared at all, and `reason` says why.

    With the store out of sight there is an address still, by which equal calls at once find each other in a process.
    Answers computed before `purged_before` are gone, before `stale_before` stale; `stale_if_error_s` is how long a stale one may still
    stand in for the upstream. With a `namespace` the answer is in its record, and from nowhere else where `frozen`.
    """

    cache_key: str | None
    reason: str
    directives: CacheDirectives
    ttl_s: float
    first_write_wins: bool
    store_reachable: bool = True
    purged_before: float = 0.0
    stale_before: float = 0.0
    stale_if_error_s: float = 0.0
    namespace: str | None = None
    frozen: bool = False
    detail: str = ""

    @property
    def storable(self) -> bool:
        return self.cache_key is not None and self.store_reachable

    @property
    def readable(self) -> bool:
        return self.storable and not self.directives.no_cache

    def fresh_until(self, answer: Answer) -> float:
        """Until when this answer is fresh, in seconds since the epoch; in the past for one that a purge has met."""
        return answer.created + self.ttl_s if answer.created > max(self.stale_before, self.purged_before) else 0.0

    def freshness_left(self, answer: Answer, now: float) -> float:
        """How many seconds this answer is still fresh; below 0 since when it is stale, or a purge has met it."""
        left = answer.created + self.ttl_s - now
        purged = max(self.stale_before, self.purged_before)
        return left if answer.created > purged else min(left, purged - now, -1.0)

    def satisfies(self, answer: Answer, now: float) -> bool:
        """Whether a hit with this answer is what was asked for (RFC 9111 sections 4.2 and 5.2.1)."""
        left, asked = self.freshness_left(answer, now), self.directives
        if asked is NO_DIRECTIVES:
            return left > 0
        if asked.max_age is not None and now - answer.created > asked.max_age:
            return False
        if asked.min_fresh is not None and left < asked.min_fresh:
            return False
        return left > 0 or (
            asked.max_stale is not None and answer.created > self.purged_before and -left <= asked.max_stale
        )

    def usable_if_error(self, answer: Answer, now: float) -> bool:
        """Whether this answer, stale as it is, may be given while the upstream is down."""
        return (
            answer.created > self.purged_before
            and now < answer.created + self.ttl_s + self.stale_if_error_s
            and self.stale_if_error_s > 0
        )


def plan_for(
    call: Call,
    who: Principal,
    cache_config: CacheConfig,
    purge_state: PurgeState | None,
    namespace: Callable[[str], Namespace | None],
    cacheable: bool,
    cache_control: str | None,
) -> CachePlan:
    """Where the answer of this call to this caller belongs. Raises what is refused of a Cache-Control header."""
    scope = who.key.cache
    allowed, named = (None, None) if scope is None else (scope.directives, scope.namespace)
    asked = parse_directives(cache_control, allowed, in_namespace=named is not None)
    name = asked.namespace or named
    if name is None or name == DEFAULT_NAMESPACE:
        return plan(call, who, cache_config, purge_state, cacheable, asked)
    found = namespace(name)
    if found is None:
        raise Problem(UNKNOWN_NAMESPACE)
    if found.frozen is not None and (asked.no_cache or asked.no_store):
        raise Problem(NAMESPACE_FROZEN)
    return namespace_plan(call, cache_config, name, found.frozen is not None, asked)


def plan(
    call: Call,
    who: Principal,
    cache_config: CacheConfig,
    purge_state: PurgeState | None,
    cacheable: bool,
    asked: CacheDirectives,
) -> CachePlan:
    """The plan of one call. `purge_state` are None while the cache store is out of sight."""
    reason = _bypass(call, who, cache_config, cacheable, asked)
    if reason is not None:
        return CachePlan(None, reason, asked, 0.0, first_write_wins=False, detail=_detail(call, reason))
    cache_key = _cache_key(call, who, cache_config, purge_state, asked)
    if purge_state is None:
        return CachePlan(cache_key, "store", asked, 0.0, first_write_wins=False, store_reachable=False, detail="store")
    cls = call.determinism.cls
    return CachePlan(
        cache_key,
        cls,
        asked,
        cache_config.ttl_s,
        first_write_wins=cls is not DeterminismClass.EXACT and not asked.no_cache,
        purged_before=purge_state.purged_before,
        stale_before=purge_state.stale_before(call.model),
        stale_if_error_s=cache_config.stale_if_error_s,
        detail=_detail(call, cls),
    )


def namespace_plan(call: Call, cache_config: CacheConfig, name: str, frozen: bool, asked: CacheDirectives) -> CachePlan:
    """The plan of a call in a namespace: whatever its class, the first answer is on record, for good.

    The rules that let spellings share are not applied to a record, so that it holds whatever the settings say later.
    A record has no age. `no-cache` computes anew and leaves the record as it is; `no-store` leaves it out altogether.
    """
    if asked.no_store:
        return CachePlan(None, "no-store", asked, 0.0, first_write_wins=False, detail="no-store")
    asked = replace(asked, max_age=None, min_fresh=None, max_stale=None)
    asked = NO_DIRECTIVES if asked == NO_DIRECTIVES else asked
    text = f"namespace {len(name)}:{name} {call.flagged} {_drawn(asked)}"
    cache_key = hmac.new(cache_config.secret, text.encode() + call.canonical_digest, sha256).hexdigest()
    cls = call.determinism.cls
    return CachePlan(cache_key, cls, asked, FOREVER_S, True, namespace=name, frozen=frozen, detail=_detail(call, cls))


def _bypass(
    call: Call, who: Principal, cache_config: CacheConfig, cacheable: bool, asked: CacheDirectives
) -> str | None:
    if not cache_config.enabled:
        return "disabled"
    if not cacheable:
        return "endpoint"
    if asked.no_store:
        return "no-store"
    cls, scope = call.determinism.cls, who.key.cache
    if cls is DeterminismClass.SAMPLED:
        return cls if asked.pool is None else None
    kept = (
        cache_config.classes
        if scope is None or scope.classes is None
        else set(scope.classes) & set(cache_config.classes)
    )
    return cls if cls not in kept else None


def sharing_scope(who: Principal, cache_config: CacheConfig) -> tuple[str, str]:
    """How widely this caller shares entries, and the name of those who share; empty for everybody."""
    scope = who.key.cache
    wanted = cache_config.share if scope is None or scope.share is None else scope.share
    share = max(
        wanted, cache_config.share, key=_SHARES.index
    )  # a key may share with fewer than the settings say, never more
    return share, who.user if share == "user" else who.team if share == "team" else ""


def plan_scope(who: Principal, cache_config: CacheConfig) -> tuple[object, str, str] | None:
    """Who shares plans with this caller: a name for them that costs nothing; None for everybody."""
    scope = who.key.cache
    return None if scope is None and cache_config.share == "organisation" else (scope, who.team, who.user)


_SHARES = ("organisation", "team", "user")


def _cache_key(
    call: Call, who: Principal, cache_config: CacheConfig, purge_state: PurgeState | None, asked: CacheDirectives
) -> str:
    share, shared_by = sharing_scope(who, cache_config)
    model, upstream = call.model, cache_config.upstream
    epoch = "" if purge_state is None else purge_state.generation(model)
    drawn = "" if call.determinism.cls is DeterminismClass.EXACT else _drawn(asked)
    # With its length before each part that somebody else writes, no two sets of parts make the same text.
    text = (
        f"{cache_config.rule_set} {epoch} {call.flagged} {share} "
        f"{len(shared_by)}:{shared_by} {len(model)}:{model} {len(upstream)}:{upstream} {drawn}"
    )
    return hmac.new(cache_config.secret, text.encode() + call.cache_digest, sha256).hexdigest()


def _drawn(asked: CacheDirectives) -> str:
    """Which sample of which pool; empty where none was asked for. Of an `exact` call there is only one."""
    pool = asked.pool or ""
    return "" if asked.sample is None else f"{len(pool)}:{pool} {asked.sample} "


def _detail(call: Call, reason: str) -> str:
    """The class and the rule that decided it, or why the cache has no part, as a String or Token of RFC 8941."""
    cls = call.determinism.cls
    return f'"{cls}: {call.determinism.reason}"' if reason == cls else reason


def cache_status_hit(plan: CachePlan, ttl_s: float) -> str:
    """Cache-Status of an answer from the cache, the key withheld; a negative ttl is that of a stale one."""
    return f"esm-gateway; hit; ttl={int(ttl_s)}; detail={plan.detail}"


def cache_status_forwarded(plan: CachePlan, *, stored: bool, collapsed: bool) -> str:
    """Cache-Status of an answer that was computed now."""
    why = "bypass" if not plan.storable else "request" if plan.directives.no_cache else "miss"
    purge_state = ("; stored" if stored else "") + ("; collapsed" if collapsed else "")
    return f"esm-gateway; fwd={why}{purge_state}; detail={plan.detail}"
