"""One store as a server: fit for its use, and with every right that the gateway needs there.

Rights are tried, not read: a script runs each command that the gateway uses on scratch keys (`lua/try_rights.lua`). So
it works for users who may not ask about users, and finds a server that is full or takes no changes, too.
"""

from collections.abc import Mapping, Sequence

import orjson

from gateway.adapters.redis_connect import RedisStore, as_stored, load_script
from gateway.adapters.redis_faults import UnsuitableServer, fault_of_reply
from gateway.adapters.redis_preflight import examine
from gateway.core.store_faults import StoreFault, StoreName
from gateway.ports import StoreUnavailable

CHECK_S = 5.0
# {0} to {2}: scratch keys for a text, a hash and a sorted set (or a stream); {3}: a channel.
TEXT, HASH, ORDER = "{0}", "{1}", "{2}"
OF_BOTH: tuple[str, ...] = (
    f"SET {TEXT} 1 PX 1000",
    f"GET {TEXT}",
    f"PEXPIRE {TEXT} 1000",
    f"PTTL {TEXT}",
    "TIME",
    f"HSETNX {HASH} a 1",
    f"HSET {HASH} a 1",
    f"HGET {HASH} a",
    f"HGETALL {HASH}",
    f"HINCRBY {HASH} a 1",
    f"DEL {TEXT}",
    f"UNLINK {TEXT} {HASH}",
)
TRIED: Mapping[StoreName, tuple[str, ...]] = {
    "state": (
        *OF_BOTH,
        f"MGET {TEXT}",
        f"INCR {TEXT}",
        f"EXPIRE {TEXT} 60",
        f"RENAME {TEXT} {TEXT}",
        f"HKEYS {HASH}",
        f"HMGET {HASH} a",
        f"HEXISTS {HASH} a",
        f"HLEN {HASH}",
        f"HSTRLEN {HASH} a",
        f"HDEL {HASH} a",
        f"ZADD {ORDER} 1 a",
        f"ZSCORE {ORDER} a",
        f"ZCARD {ORDER}",
        f"ZCOUNT {ORDER} -inf +inf",
        f"ZRANGEBYSCORE {ORDER} -inf +inf",
        f"ZREMRANGEBYSCORE {ORDER} -inf 0",
        f"ZREM {ORDER} a",
    ),
    "cache": (
        *OF_BOTH,
        f"TYPE {TEXT}",
        f"XADD {ORDER} MAXLEN 1 * key a",
        f"XRANGE {ORDER} - +",
        f"XREVRANGE {ORDER} + - COUNT 1",
        "PUBLISH {3} check",
    ),
}
BESIDE: Mapping[StoreName, tuple[str, ...]] = {
    "state": ("EVAL", "EVALSHA", "INFO", "SELECT", "CLIENT|SETNAME"),
    "cache": ("EVAL", "EVALSHA", "INFO", "SELECT", "CLIENT|SETNAME", "SUBSCRIBE", "UNSUBSCRIBE"),
}
"""Rights that connecting, subscribing and the script itself take; SELECT where the URL names a database."""


def rights(role: StoreName) -> tuple[str, ...]:
    """Every command that a user of this store needs, sorted."""
    return tuple(sorted({*(line.partition(" ")[0] for line in TRIED[role]), *BESIDE[role]}))


class RedisProbe:
    """`ports.StoreProbe`."""

    def __init__(self, store: RedisStore, role: StoreName, *, prefix: str = "esmgw:") -> None:
        self._store, self._role, self._prefix = store, role, prefix
        self._script = load_script("try_rights")

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._store.warnings

    async def check(self) -> Sequence[str]:
        await self._store.follow_primary()
        warnings: list[str] = []
        for node in await self._store.info(CHECK_S):
            try:
                if node.get("role") == "slave":
                    raise StoreUnavailable("check", "read_only")
                warnings += examine(self._role, node)
            except StoreUnavailable:
                await self._store.reconnect()
                raise
            except UnsuitableServer as error:
                # Its other connections were made before it was told so.
                await self._store.reconnect()
                raise StoreUnavailable("check", "unsuitable", str(error)) from None
        return tuple(dict.fromkeys(warnings))

    async def try_change(self) -> None:
        tag = f"{self._prefix}{{check}}:"
        keys = (f"{tag}text", f"{tag}hash", f"{tag}order")
        names = (*keys, f"{self._prefix}flight:check")
        commands = [[_named(word, names) for word in line.split(" ")] for line in TRIED[self._role]]
        words = (orjson.dumps(commands),)
        answer: list[bytes] = await self._store.run("try_rights", self._script, keys, words, CHECK_S)
        with as_stored("try_rights"):
            replies = [text.decode(errors="replace") for text in answer]
            failed = dict(zip(replies[::2], map(fault_of_reply, replies[1::2]), strict=True))
        self._judge(failed)

    async def try_subscribing(self) -> None:
        """For a client of its own: where it is refused, the connection ends for all who listen on it."""
        channel = f"{self._prefix}flight:check"
        message = await self._store.pubsub.subscribe(channel, CHECK_S)
        self._store.pubsub.unsubscribe(channel, message)

    def _judge(self, failed: Mapping[str, StoreFault]) -> None:
        others = [fault for fault in failed.values() if fault != "permission"]
        missing = sorted(name.lower() for name, fault in failed.items() if fault == "permission")
        if missing:
            detail = f"the user of the {self._role} store may not use: {', '.join(missing)}"
            raise StoreUnavailable("try_rights", "permission", detail)
        if others:
            raise StoreUnavailable("try_rights", others[0])


def _named(word: str, names: Sequence[str]) -> str:
    return names[int(word[1])] if word.startswith("{") else word
