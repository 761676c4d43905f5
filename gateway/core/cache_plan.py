"""Whether an answer may be read from the cache and stored in it, and under which key.

The cache key is an HMAC-SHA-256, under the gateway's secret, of everything that may set two answers apart: upstream,
rules, purges, sharing scope, flag, sample, and the canonical call. It reveals nothing about the call.
"""

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

from gateway.core.cache_directives import NEXT_SAMPLE, NO_DIRECTIVES, CacheDirectives, parse_directives
from gateway.core.problems import NAMESPACE_FROZEN, UNKNOWN_NAMESPACE, Problem
from gateway.core.purge_state import PurgeState
from gateway.core.sealing import every
from gateway.core.types import Answer, Call, DeterminismClass, Namespace, Principal

BYPASS_REASONS = ("disabled", "endpoint", "no-store", "exact", "pinned", "sampled", "unknown", "store")
"""Why a call bypasses the cache. A class: the settings or the key do not cache it, or it is never cached."""
Forwarded = Literal["miss", "request", "stale", "bypass"]
"""Why an answer was computed, in the words of RFC 9211 section 2.2."""
Share = Literal["organisation", "team", "user"]
_SHARES = ("organisation", "team", "user")
FOREVER_S = 1e10
DEFAULT_NAMESPACE = "default"
"""Names the shared cache, which is no namespace: how a key with a namespace of its own asks for the shared cache."""


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """What the settings say about the cache. `secret` is derived for this purpose alone, `rule_set` names the rules.

    An entry stays in the store `stale_if_error_s` longer than it is fresh, for use while the upstream is down.
    `check_echo`: whether an answer that changes what was sent is not kept.
    """

    secret: bytes
    upstream: str
    enabled: bool = True
    classes: Collection[str] = ("exact", "pinned")
    share: Share = "organisation"
    ttl_s: float = 2_592_000.0
    stale_if_error_s: float = 0.0
    rule_set: str = "wire-2"
    check_echo: bool = True


@dataclass(frozen=True, slots=True)
class CachePlan:
    """How the cache is used for one call. `cache_key` is None for a bypass, and `reason` says why.

    While the cache store is unreachable there still is a cache key: equal calls in one process collapse by it.
    Answers from before `purged_before` are gone, those from before `stale_before` stale; a stale one is usable for
    `stale_if_error_s` if the upstream fails. With a `namespace` the entry is there, and nothing is computed if it is
    `frozen`. `former_key` is where an entry from before the present canonical form would be.
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
    former_key: str | None = None
    other_keys: tuple[str, ...] = ()
    """In a namespace: cache keys under other master secrets, where an entry is until it has been moved."""

    @property
    def storable(self) -> bool:
        return self.cache_key is not None and self.store_reachable

    @property
    def readable(self) -> bool:
        return self.storable and not self.directives.no_cache

    def fresh_until(self, answer: Answer) -> float:
        """When this answer becomes stale, in seconds since the epoch; in the past if it was purged."""
        return answer.created + self.ttl_s if answer.created > max(self.stale_before, self.purged_before) else 0.0

    def freshness_left(self, answer: Answer, now: float) -> float:
        """Seconds for which this answer is still fresh; negative since when it is stale or was purged."""
        left = answer.created + self.ttl_s - now
        purged = max(self.stale_before, self.purged_before)
        return left if answer.created > purged else min(left, purged - now, -1.0)

    def satisfies(self, answer: Answer, now: float) -> bool:
        """Whether this answer may be sent as a hit (RFC 9111 sections 4.2 and 5.2.1)."""
        left, directives = self.freshness_left(answer, now), self.directives
        if directives is NO_DIRECTIVES:
            return left > 0
        if directives.max_age is not None and now - answer.created > directives.max_age:
            return False
        if directives.min_fresh is not None and left < directives.min_fresh:
            return False
        return left > 0 or (
            directives.max_stale is not None and answer.created > self.purged_before and -left <= directives.max_stale
        )

    def usable_if_error(self, answer: Answer, now: float) -> bool:
        """Whether this stale answer may be sent while the upstream is down.

        Not to whoever set a bound that it breaks: `max-age` and `min-fresh` refuse every stale answer, unless
        `max-stale` stands beside `max-age` (RFC 9111 sections 5.2.1.1 to 5.2.1.3).
        """
        asked = self.directives
        if asked.min_fresh is not None or (asked.max_age is not None and asked.max_stale is None):
            return False
        if asked.max_age is not None and now - answer.created > asked.max_age:
            return False
        if asked.max_stale is not None and -self.freshness_left(answer, now) > asked.max_stale:
            return False
        return (
            answer.created > self.purged_before
            and now < answer.created + self.ttl_s + self.stale_if_error_s
            and self.stale_if_error_s > 0
        )

    def why_forwarded(self, found: Answer | None, now: float) -> Forwarded:
        """Why an answer is computed where this was found in the cache (RFC 9211 section 2.2).

        `no-cache` is a "request" whatever is stored: nothing was looked up.
        """
        if not self.storable:
            return "bypass"
        if self.directives.no_cache:
            return "request"
        if found is None or found.created <= self.purged_before:
            return "miss"
        return "request" if self.freshness_left(found, now) > 0 else "stale"


def plan_for(
    call: Call,
    who: Principal,
    cache_config: CacheConfig,
    purge_state: PurgeState | None,
    namespace: Callable[[str], Namespace | None],
    cacheable: bool,
    cache_control: str | None,
    sample: int = 1,
) -> CachePlan:
    """The plan of this call for this caller. Raises a problem for what is refused of the Cache-Control header.

    `sample` is the number that `sample=next` stands for.
    """
    scope = who.key.cache
    allowed, own_namespace = (None, None) if scope is None else (scope.directives, scope.namespace)
    asked = parse_directives(cache_control, allowed, in_namespace=own_namespace is not None)
    directives = asked if asked.sample != NEXT_SAMPLE else replace(asked, sample=_next_of(call, asked, sample))
    name = directives.namespace or own_namespace
    if name is None or name == DEFAULT_NAMESPACE:
        return shared_plan(call, who, cache_config, purge_state, cacheable, directives)
    found = namespace(name)
    if found is None:
        raise Problem(UNKNOWN_NAMESPACE)
    if found.frozen is not None and (directives.no_cache or directives.no_store):
        raise Problem(NAMESPACE_FROZEN)
    return namespace_plan(call, cache_config, name, found.frozen is not None, directives)


def _next_of(call: Call, asked: CacheDirectives, sample: int) -> int | None:
    """Of a call that draws nothing there is one answer, whatever the run."""
    one = call.draws is DeterminismClass.EXACT
    return sample if not one else None if asked.pool is None else 1


def shared_plan(
    call: Call,
    who: Principal,
    cache_config: CacheConfig,
    purge_state: PurgeState | None,
    cacheable: bool,
    directives: CacheDirectives,
) -> CachePlan:
    """The plan of a call in the shared cache. `purge_state` is None while the cache store is unreachable."""
    reason = _bypass_reason(call, who, cache_config, cacheable, directives)
    if reason is not None:
        return CachePlan(None, reason, directives, 0.0, first_write_wins=False, detail=_detail(call, reason))
    cache_key = _cache_key(call, who, cache_config, purge_state, directives)
    if purge_state is None:
        return CachePlan(cache_key, "store", directives, 0.0, False, store_reachable=False, detail="store")
    cls = call.determinism.cls
    return CachePlan(
        cache_key,
        cls,
        directives,
        cache_config.ttl_s,
        first_write_wins=cls is not DeterminismClass.EXACT and not directives.no_cache,
        purged_before=purge_state.gone_before(cache_key),
        stale_before=purge_state.stale_before(call.model),
        stale_if_error_s=cache_config.stale_if_error_s,
        detail=_detail(call, cls),
    )


def namespace_plan(
    call: Call, cache_config: CacheConfig, name: str, frozen: bool, directives: CacheDirectives
) -> CachePlan:
    """The plan of a call in a namespace: whatever its class, the first answer is stored, and does not expire.

    Its key does not depend on the sharing rules, so an entry is found whatever the settings say later. Directives
    about age mean nothing. `no-cache` computes anew and leaves the entry; `no-store` bypasses the namespace.
    """
    if directives.no_store:
        return CachePlan(None, "no-store", directives, 0.0, first_write_wins=False, detail="no-store")
    directives = replace(directives, max_age=None, min_fresh=None, max_stale=None)
    directives = NO_DIRECTIVES if directives == NO_DIRECTIVES else directives
    text = f"namespace {len(name)}:{name} {call.flagged} {_sample(directives)}".encode()
    digests = [digest for digest in (call.canonical_digest, call.former_digest) if digest]
    under, *others = (
        [hmac.new(each, text + digest, sha256).hexdigest() for digest in digests] for each in every(cache_config.secret)
    )
    cls = call.determinism.cls
    return CachePlan(
        under[0],
        cls,
        directives,
        FOREVER_S,
        True,
        namespace=name,
        frozen=frozen,
        detail=_detail(call, cls),
        former_key=under[1] if len(under) > 1 else None,
        other_keys=tuple(key for keys in others for key in reversed(keys)),
    )


def _bypass_reason(
    call: Call, who: Principal, cache_config: CacheConfig, cacheable: bool, directives: CacheDirectives
) -> str | None:
    if not cache_config.enabled:
        return "disabled"
    if not cacheable:
        return "endpoint"
    if directives.no_store:
        return "no-store"
    cls, scope = call.determinism.cls, who.key.cache
    if cls is DeterminismClass.SAMPLED:
        return cls if directives.pool is None else None
    allowed = cls in cache_config.classes and (scope is None or scope.classes is None or cls in scope.classes)
    return None if allowed else cls


def sharing_scope(who: Principal, cache_config: CacheConfig) -> tuple[str, str]:
    """How widely this caller shares entries, and the team's or user's name; an empty name for everybody."""
    scope = who.key.cache
    wanted = cache_config.share if scope is None or scope.share is None else scope.share
    # A key may narrow what the settings say, never widen it.
    share = max(wanted, cache_config.share, key=_SHARES.index)
    return share, who.user if share == "user" else who.team if share == "team" else ""


def plan_scope(who: Principal, cache_config: CacheConfig) -> tuple[object, str, str] | None:
    """Callers with an equal value get equal plans for equal calls; cheaper to find than `sharing_scope`."""
    scope = who.key.cache
    return None if scope is None and cache_config.share == "organisation" else (scope, who.team, who.user)


def _cache_key(
    call: Call, who: Principal, cache_config: CacheConfig, purge_state: PurgeState | None, directives: CacheDirectives
) -> str:
    share, shared_by = sharing_scope(who, cache_config)
    model, upstream = call.model, cache_config.upstream
    generation = "" if purge_state is None else purge_state.generation(model)
    sample = "" if call.determinism.cls is DeterminismClass.EXACT else _sample(directives)
    # Each part that somebody else writes follows its length, so no two sets of parts make the same text.
    text = (
        f"{cache_config.rule_set} {generation} {call.flagged} {share} "
        f"{len(shared_by)}:{shared_by} {len(model)}:{model} {len(upstream)}:{upstream} {sample}"
    )
    return hmac.new(cache_config.secret, text.encode() + call.cache_digest, sha256).hexdigest()


def _sample(directives: CacheDirectives) -> str:
    """Which sample of which pool; empty if none was asked for."""
    pool = directives.pool or ""
    return "" if directives.sample is None else f"{len(pool)}:{pool} {directives.sample} "


def _detail(call: Call, reason: str) -> str:
    """The class and the rule that decided it, or the reason for the bypass, as a String or Token of RFC 8941."""
    cls = call.determinism.cls
    return f'"{cls}: {call.determinism.reason}"' if reason == cls else reason
