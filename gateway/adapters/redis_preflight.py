"""Whether a server is fit to be the state store or the cache store: version, role, eviction, persistence.

It is looked at on every new connection, before the first command is sent: a server that was started later, restarted
with another configuration, or made the primary by a failover is another server. A state store that evicts would lose
keys and quotas, so it is refused. One without persistence only causes a warning, since there may be replicas. Backups
are not checked.
"""

from collections.abc import Mapping
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ReadOnlyError, ResponseError

from gateway.adapters.redis_faults import UnsuitableServer
from gateway.core.store_faults import StoreName

REDIS = (7, 0)
VALKEY = (7, 2)
Node = Mapping[str, Any]


class ServerCheck:
    """The check of one store's servers, and the warnings of the last one that was looked at.

    `of_cluster`: a cluster's replicas answer, too, and send everybody on to their primary.
    """

    def __init__(self, role: StoreName, *, of_cluster: bool = False) -> None:
        self._role, self._of_cluster = role, of_cluster
        self.warnings: tuple[str, ...] = ()

    async def on_connect(self, connection: AbstractConnection) -> None:
        """As a client's `redis_connect_func`. Raises UnsuitableServer, and ReadOnlyError for a replica."""
        await connection.on_connect()
        await connection.send_command("INFO")
        node = parse_info(await connection.read_response())
        if node.get("role") == "slave":
            if self._of_cluster:
                return
            raise ReadOnlyError("it is a replica")
        self.warnings = examine(self._role, node)


def parse_info(reply: Any) -> Node:
    """The fields of INFO as text."""
    if not isinstance(reply, bytes):
        raise ResponseError("INFO is no text")
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def examine(role: StoreName, node: Node) -> tuple[str, ...]:
    """Warnings, if any. Raises UnsuitableServer with what is wrong and what to change."""
    _check_version(node)
    return _examine_state(node) if role == "state" else _examine_cache(node)


def _examine_state(node: Node) -> tuple[str, ...]:
    policy = str(node.get("maxmemory_policy", "noeviction"))
    if _number(node, "maxmemory") > 0 and policy != "noeviction":
        raise UnsuitableServer(
            f"the state store evicts (maxmemory-policy {policy}) and would lose quotas and keys;"
            " set maxmemory-policy to noeviction"
        )
    if not _number(node, "aof_enabled"):
        return ("the state store has no append-only file: if it crashes, quotas used and keys revoked are lost",)
    return ()


def _examine_cache(node: Node) -> tuple[str, ...]:
    """Only the version makes it unfit: what the cache store loses is computed again."""
    if _number(node, "maxmemory") == 0:
        return ("the cache store has no maxmemory: it grows until its machine is full",)
    return ()


def _number(node: Node, field: str) -> int:
    text = str(node.get(field, 0))
    return int(text) if text.isdecimal() else 0


def _check_version(node: Node) -> None:
    # Valkey reports redis_version 7.2.4 for old clients, and its own version in another field.
    name, least = ("Valkey", VALKEY) if "valkey_version" in node else ("Redis", REDIS)
    version = str(node.get(f"{name.lower()}_version", "0"))
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if found < least:
        raise UnsuitableServer(f"{name} {version} is too old: at least Redis 7.0 or Valkey 7.2 is needed")
