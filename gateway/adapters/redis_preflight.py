"""Whether a server may hold the state: keys, approvals, quotas. It is asked once, when the gateway starts.

A server that evicts would forget who has spent what, so it is refused; one that loses its memory with its process is
only warned about, since there may be replicas. It does not look at how the store is backed up.
"""

from collections.abc import Mapping
from typing import Any

from gateway.adapters.redis_connect import RedisStore

REDIS = (7, 0)
VALKEY = (7, 2)


class UnsuitableStore(Exception):
    """The store must not be used for what it was given for; the message says why and what to change."""


async def check_state_store(store: RedisStore) -> tuple[str, ...]:
    """Warnings (may be none); raises UnfitStore, or StoreUnavailable where nobody answers."""
    warnings: list[str] = []
    for node in await store.info():
        _check_version(node)
        policy = str(node.get("maxmemory_policy", "noeviction"))
        if int(node.get("maxmemory", 0)) > 0 and policy != "noeviction":
            raise UnsuitableStore(
                f"the state store evicts (maxmemory-policy {policy}): quotas and keys would be forgotten;"
                " set maxmemory-policy to noeviction"
            )
        if not int(node.get("aof_enabled", 0)):
            warnings.append("the state store has no append-only file: a crash of it forgets what was spent and revoked")
    return tuple(dict.fromkeys(warnings))


async def check_cache_store(store: RedisStore) -> tuple[str, ...]:
    """Warnings; any server of the right version will do for what can be computed again."""
    warnings: list[str] = []
    for node in await store.info():
        _check_version(node)
        if int(node.get("maxmemory", 0)) == 0:
            warnings.append("the cache store has no maxmemory: it grows until its machine is full")
    return tuple(dict.fromkeys(warnings))


def _check_version(node: Mapping[str, Any]) -> None:
    # Valkey says redis_version 7.2.4 for old clients, and its own version in a field of its own.
    name, least = ("Valkey", VALKEY) if "valkey_version" in node else ("Redis", REDIS)
    version = str(node.get(f"{name.lower()}_version", "0"))
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if found < least:
        raise UnsuitableStore(f"{name} {version} is too old: Redis 7.0 or Valkey 7.2 at least")
