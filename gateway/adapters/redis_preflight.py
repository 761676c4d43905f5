"""Preflight checks of the stores, once when the gateway starts: version, eviction, persistence.

A state store that evicts would lose keys and quotas, so it is refused. One without persistence only causes a warning,
since there may be replicas. Backups are not checked.
"""

from collections.abc import Mapping
from typing import Any

from gateway.adapters.redis_connect import RedisStore

REDIS = (7, 0)
VALKEY = (7, 2)


class UnsuitableStore(Exception):
    """The server cannot be used as this store; the message says why and what to change."""


async def check_state_store(store: RedisStore) -> tuple[str, ...]:
    """Warnings, if any. Raises UnsuitableStore, or StoreUnavailable where the server does not answer."""
    warnings: list[str] = []
    for node in await store.info():
        _check_version(node)
        policy = str(node.get("maxmemory_policy", "noeviction"))
        if int(node.get("maxmemory", 0)) > 0 and policy != "noeviction":
            raise UnsuitableStore(
                f"the state store evicts (maxmemory-policy {policy}) and would lose quotas and keys;"
                " set maxmemory-policy to noeviction"
            )
        if not int(node.get("aof_enabled", 0)):
            warnings.append(
                "the state store has no append-only file: if it crashes, quotas used and keys revoked are lost"
            )
    return tuple(dict.fromkeys(warnings))


async def check_cache_store(store: RedisStore) -> tuple[str, ...]:
    """Warnings, if any. Raises UnsuitableStore only for the version: what the cache store loses is computed again."""
    warnings: list[str] = []
    for node in await store.info():
        _check_version(node)
        if int(node.get("maxmemory", 0)) == 0:
            warnings.append("the cache store has no maxmemory: it grows until its machine is full")
    return tuple(dict.fromkeys(warnings))


def _check_version(node: Mapping[str, Any]) -> None:
    # Valkey reports redis_version 7.2.4 for old clients, and its own version in another field.
    name, least = ("Valkey", VALKEY) if "valkey_version" in node else ("Redis", REDIS)
    version = str(node.get(f"{name.lower()}_version", "0"))
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if found < least:
        raise UnsuitableStore(f"{name} {version} is too old: at least Redis 7.0 or Valkey 7.2 is needed")
