"""Cache plans for tests: one call, one caller, one configuration, and variations of them."""

import re
from dataclasses import replace

from gateway.core.cache_directives import NO_DIRECTIVES, CacheDirectives
from gateway.core.cache_plan import (
    CacheConfig,
    CachePlan,
    namespace_plan,
    shared_plan,
)
from gateway.core.purge_state import PurgeState
from gateway.core.types import CacheScope, Call, Determinism, DeterminismClass, KeyRecord, Principal

SCHEME = CacheConfig(b"s" * 32, "https://upstream.example")
CALL = Call(
    "generate",
    "/api/v1/generate",
    "small",
    False,
    b"{}",
    b"c" * 32,
    7,
    7,
    Determinism(DeterminismClass.EXACT, "one step"),
)
ADA = Principal(KeyRecord("k1", "d1", "ada", "red", 0.0))
ALL_CLASSES = ("exact", "pinned", "sampled", "unknown")
MARKS = PurgeState(1)

# RFC 8941 section 3: a token, and parameters with an integer, a token, a string or nothing; RFC 9211 section 2.
VALUE = r"-?\d{1,15}|[A-Za-z*][\w.-]*|\"[ !#-\[\]-~]*\""
CACHE_STATUS = re.compile(rf"[A-Za-z*][\w!#$%&'*+.^`|~:/-]*(; [a-z*][a-z0-9_.*-]*(=({VALUE}))?)+")


def of_class(cls: DeterminismClass) -> Call:
    return replace(CALL, determinism=Determinism(cls, "a rule"))


def planned(
    call: Call = CALL,
    who: Principal = ADA,
    cache_config: CacheConfig = SCHEME,
    purge_state: PurgeState | None = MARKS,
    asked: CacheDirectives = NO_DIRECTIVES,
) -> CachePlan:
    return shared_plan(call, who, cache_config, purge_state, True, asked)


def cache_key(
    call: Call = CALL,
    who: Principal = ADA,
    cache_config: CacheConfig = SCHEME,
    purge_state: PurgeState | None = MARKS,
    asked: CacheDirectives = NO_DIRECTIVES,
) -> str:
    found = planned(call, who, cache_config, purge_state, asked).cache_key
    assert found is not None
    return found


def person(user: str, team: str, scope: CacheScope | None = None) -> Principal:
    return Principal(KeyRecord(f"key of {user}", "d", user, team, 0.0, cache=scope))


def in_namespace(
    call: Call = CALL, name: str = "paper", asked: CacheDirectives = NO_DIRECTIVES, cache_config: CacheConfig = SCHEME
) -> CachePlan:
    return namespace_plan(call, cache_config, name, False, asked)
